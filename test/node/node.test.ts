/** Processes of Node as members of a cluster: they know nothing but a real signaling server, and link by relay alone. */
import { spawn, type ChildProcess } from 'node:child_process'
import path from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { bundleForNode } from '../../scripts/bundle.mjs'
import { root } from '../../scripts/support/paths.mjs'
import { openCluster } from '../../src/cluster.ts'
import { nodePlatform } from '../../src/node.ts'
import type { ClusterOptions } from '../../src/options.ts'
import { startServer, until } from '../signaling/support.ts'

interface Seen {
  readonly members: readonly (readonly [name: string, path: string])[]
  readonly greetings: readonly string[]
  readonly ends: readonly string[]
  readonly isConfirmed: boolean
}

interface Member {
  readonly child: ChildProcess
  /** What it printed last. */
  seen(): Seen
  readonly exit: Promise<number | null>
}

const cleanups: (() => unknown)[] = []
let program = ''

beforeAll(async () => {
  program = await bundleForNode(path.join(root, 'test/node/member.ts'))
}, 60_000)

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options: Parameters<typeof startServer>[0] = {}, port = 0) {
  const running = await startServer(options, port)
  cleanups.push(() => running.server.close())
  return running
}

function member(url: string, name: string): Member {
  const child = spawn(process.execPath, [program, url, name], { stdio: ['ignore', 'pipe', 'pipe'] })
  cleanups.push(() => child.kill('SIGKILL'))
  let [output, problems] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (problems += chunk.toString()))
  return {
    child,
    exit: new Promise((resolve) => child.once('exit', resolve)),
    seen() {
      const line = output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1)
      if (!line) throw new Error(`${name} has said nothing yet; ${problems}`)
      return JSON.parse(line) as Seen
    },
  }
}

function join(url: string, options: Partial<ClusterOptions> = {}) {
  const cluster = openCluster('room', {
    signaling: url,
    meta: 'test',
    joinTimeoutMs: 1_500,
    platform: nodePlatform(),
    ...options,
  })
  cleanups.push(() => cluster.leave())
  return cluster
}

describe('processes of Node', () => {
  it('join, gossip, and leave, over relayed links', async () => {
    const { url, server } = await start()
    const one = member(url, 'one')
    await until(() => expect(one.seen().isConfirmed).toBe(true))
    const [two, three] = [member(url, 'two'), member(url, 'three')]
    const greetings = ['one', 'three', 'two'].map((name) => `hello from ${name}`)
    for (const [each, others] of [
      [one, ['three', 'two']],
      [two, ['one', 'three']],
      [three, ['one', 'two']],
    ] as const) {
      await until(() => {
        const { members, greetings: heard, isConfirmed } = each.seen()
        expect(members.toSorted()).toEqual(others.map((name) => [name, 'relayed']))
        expect([heard, isConfirmed]).toEqual([greetings, true])
      })
    }
    expect(server.counts()).toMatchObject({ relayRefusals: 0 })
    expect(server.counts().relayedFrames).toBeGreaterThan(20)

    two.child.kill('SIGTERM')
    // It said goodbye, over links that take time to encipher: nobody had to find out.
    await until(() => {
      for (const each of [one, three]) expect(each.seen().ends).toEqual(['removed, leaving before'])
    })
    expect(await two.exit).toBe(0)
  }, 30_000)

  it('are missed when they are killed', async () => {
    const { url } = await start()
    const [one, two] = [member(url, 'one'), member(url, 'two')]
    await until(() => expect([one, two].map((each) => each.seen().members.length)).toEqual([1, 1]))
    two.child.kill('SIGKILL')
    await until(() => expect(one.seen().members).toEqual([]))
  }, 30_000)

  it('go on when the connection to the server is cut and comes back', async () => {
    const first = await start()
    const [one, two] = [join(first.url), join(first.url)]
    await Promise.all([one.ready, two.ready])
    await until(() => expect(one.links.get()).toHaveLength(1))
    const closed: string[] = []
    one.on('link-closed', ({ reason }) => closed.push(reason))
    await first.server.close()
    await start({}, first.port)
    await until(() => {
      for (const cluster of [one, two]) expect(cluster.status.get()).toBe('up')
      expect(
        one.events.recent().filter((event) => event.type === 'signaling' && event.state === 'up'),
      ).toHaveLength(2)
    })
    one.peerState<number>('x').set(7)
    await until(() => expect([...two.peerState<number>('x').get().values()]).toEqual([7]))
  }, 30_000)

  it.each<[string, Partial<ClusterOptions>, Parameters<typeof startServer>[0], RegExp]>([
    ['the server does not relay', {}, { relay: false }, /does not relay/],
    ['the option is off', { relay: false }, {}, /./],
  ])('do not get in where %s, and say why', async (_, options, serverOptions, reason) => {
    const { url } = await start(serverOptions)
    const one = join(url, options)
    await one.ready
    const two = join(url, options)
    await expect(two.ready).rejects.toThrow(reason)
    expect(one.members.get().filter(({ status }) => status === 'up')).toHaveLength(1)
  })
})
