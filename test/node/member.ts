/**
 * A process that is a member, as a user would write it: `member.ts URL NAME`. Prints one line of JSON for each change of
 * what it sees, and leaves at SIGTERM.
 */
import { joinCluster } from '../../src/index.ts'
import { nodePlatform } from '../../src/node.ts'

const [signaling = '', name = ''] = process.argv.slice(2)

const cluster = await joinCluster('room', { signaling, meta: name, platform: nodePlatform() })
const greetings = cluster.peerState<string>('greeting')
greetings.set(`hello from ${name}`)

/** How others ended. */
const ends: string[] = []
cluster.on('member-status', ({ from, to }) => {
  if (to === 'removed') ends.push(`removed, ${from} before`)
})

const tell = (): void => {
  const others = cluster.members.get().filter(({ self, status }) => !self && status === 'up')
  const seen = JSON.stringify({
    members: others.map(({ meta, path }) => [meta, path]),
    greetings: [...greetings.get().values()].toSorted(),
    ends,
    isConfirmed: cluster.convergence.get().state === 'confirmed',
  })
  process.stdout.write(`${seen}\n`)
}
for (const readable of [cluster.members, cluster.convergence, greetings]) readable.subscribe(tell)
tell()
process.once('SIGTERM', () => void cluster.leave())
