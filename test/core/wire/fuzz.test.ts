/**
 * 100,000 random and mutated messages into the decoder, and 100,000 frames into a running member of a cluster, whose
 * links the attacker opens anew whenever they are closed. `FUZZ_SEED=n` replays another run than the usual one.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import type { Decoded } from '../../../src/core/wire/codec.ts'
import { decodeMessage, encodeFrame, encodeMessage } from '../../../src/core/wire/codec.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { DEFAULT_LIMITS } from '../../../src/core/tuning.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { SAMPLES } from '../golden/samples.ts'
import { authorityOf, nodeIdOf } from '../support/names.ts'
import { cluster, isLinked } from '../support/nodes.ts'
import { Puppet } from '../support/puppet.ts'
import { messageSource } from './mutations.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261)
const FRAMES = 100_000
const TABLE_SIZE = 40
/**
 * What may stay on the heap between a fifth of the way and its end. Tables, logs, sessions and redials are bounded
 * and long full by then; what is left is the engine's own noise. One leaked object for each message would be more.
 */
const FLAT_BYTES = 8 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapBytes(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

const seeds = Object.values(SAMPLES).map(({ frame, route }) => encodeMessage([encodeFrame(frame, route)]))

/** A hostile writer may take more bytes for a number than it needs. */
const withoutSizes = (result: Decoded): unknown =>
  result.ok ? result.envelopes.map(({ frame, route }) => ({ frame, route })) : result

it(`the decoder takes whatever comes (FUZZ_SEED=${SEED})`, () => {
  const source = messageSource(seededRandom(SEED, 'decoder'), seeds)
  const reasons = new Map<string, number>()
  let good = 0
  for (let i = 0; i < FRAMES; i++) {
    const bytes = i % 10 === 0 ? source.good() : source.bad()
    const result = decodeMessage(bytes)
    if (i % 10 === 0) expect(result.ok).toBe(true)
    if (result.ok) {
      good++
      if (good % 50 > 0) continue
      // What was let in means the same when it is written anew.
      const again = encodeMessage(result.envelopes.map(({ frame, route }) => encodeFrame(frame, route)))
      expect(withoutSizes(decodeMessage(again))).toEqual(withoutSizes(result))
    } else {
      expect(result.reason).not.toBe('')
      const reason = result.reason.replaceAll(/\d+/g, 'n')
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    }
  }
  // The mutations reach deep: most rules of the decoder have refused something.
  expect(reasons.size).toBeGreaterThan(60)
  expect(good).toBeLessThan(FRAMES / 2)
})

it(`a running member takes whatever comes (FUZZ_SEED=${SEED})`, () => {
  const { room, cores } = cluster(2, { limits: { ...DEFAULT_LIMITS, members: TABLE_SIZE } })
  const [target, witness] = cores as [NodeCore, NodeCore]
  const source = messageSource(seededRandom(SEED, 'member'), seeds)
  const choose = seededRandom(SEED, 'choice')
  room.recording = false
  let rejected = 0
  const ends: string[] = []
  room.onEvent = (participant, event) => {
    if (participant === target && event.type === 'frame-rejected') rejected++
    if (participant === target && event.type === 'link-closed' && event.nodeId === witness.nodeId)
      ends.push(event.reason)
  }
  let attacker = newAttacker(0)
  let lives = 0
  let heap = 0
  let checked = 0

  function newAttacker(life: number): Puppet {
    const puppet = new Puppet(room, nodeIdOf(0, life + 1))
    room.join(puppet)
    return puppet
  }

  function ownContent() {
    return cores.flatMap((core) =>
      cores.map(({ nodeId }) => ({ ...core.table.get(nodeId)!.self!, counter: 0 })),
    )
  }

  const before = ownContent()
  let frames = 0
  for (let i = 0; frames < FRAMES; i++) {
    if (heap === 0 && frames > FRAMES / 5) heap = heapBytes()
    if (!isLinked(target, attacker)) {
      // A removed life cannot come back, in however good a company.
      if (target.table.status(attacker.nodeId) === 'removed') {
        room.kill(attacker)
        // The table is full by now: as time would, this makes room for one more.
        for (const core of cores) core.table.collect(Infinity)
        attacker = newAttacker(++lives)
      }
      // Shut out for half a minute by now; somebody lets it in again at once.
      room.feed(target, { type: 'release', authority: authorityOf(0) })
      attacker.keepsFrames = true
      attacker.enter(target.nodeId)
      attacker.keepsFrames = false
      room.run(3)
      expect(isLinked(target, attacker)).toBe(true)
    }
    const bytes = choose() < 0.6 ? source.good() : source.bad()
    const decoded = decodeMessage(bytes)
    const isBad = !decoded.ok
    frames += decoded.ok ? decoded.envelopes.length : 1
    const { revision } = target.table.log
    const { viewLo, content } = target.table.hash
    const events = rejected
    room.feed(target, { type: 'link-message', linkId: room.openLinks(target, attacker)[0]!, bytes })
    if (isBad) {
      expect(rejected).toBe(events + 1)
      // The attacker itself may be accused as its link is closed, nobody else.
      if (isLinked(target, attacker)) {
        expect([target.table.log.revision, target.table.hash.viewLo, target.table.hash.content]).toEqual([
          revision,
          viewLo,
          content,
        ])
        checked++
      }
    }
    if (i % 20 === 0) room.run(1)
  }
  expect(checked).toBeGreaterThan(FRAMES / 20)
  expect(target.table.size).toBeLessThanOrEqual(TABLE_SIZE)
  expect(target.table.live()).toEqual([...target.table.live()].sort())
  expect(heapBytes() - heap).toBeLessThan(FLAT_BYTES)

  // Nobody else noticed: no link ended, no register changed, and what is done now is seen as ever.
  expect(ends).toEqual([])
  expect(ownContent()).toEqual(before)
  expect(cores.map((core) => room.lives(core).length)).toEqual([1, 1])
  expect(isLinked(target, witness)).toBe(true)
  room.kill(attacker)
  room.feed(target, { type: 'set-meta', meta: '"still here"' })
  room.until(
    () => witness.table.get(target.nodeId)!.self!.meta === '"still here"',
    'the change is seen',
    1_000,
  )
})
