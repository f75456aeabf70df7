import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { Assembly, toKeep } from '../../../src/core/association/assembly.ts'
import { below, seededRandom } from '../../../src/testing/random.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** A view on a part of a message. */
const partOf = (message: number, length: number): Uint8Array =>
  new Uint8Array(message).subarray(3, 3 + length)

/** The memory that is in use beside objects, once everything that nobody holds is gone; in bytes. */
function memoryInUse(): number {
  collectGarbage()
  // The first one has it freed beside this thread, the second one waits for that.
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

describe('a message of several pieces', () => {
  it('is what its pieces are, whatever their sizes and wherever they lie', () => {
    const random = seededRandom(1, 'assembly')
    for (let day = 0; day < 50; day++) {
      const message = Uint8Array.from({ length: 1 + below(random, 60_000) }, () => below(random, 256))
      const assembly = new Assembly('m', message.length, false)
      for (let at = 0; at < message.length;) {
        const end = Math.min(message.length, at + 1 + below(random, [3, 500, 20_000][below(random, 3)]!))
        const isAlone = random() < 0.5
        assembly.add(isAlone ? message.slice(at, end) : message.subarray(at, end))
        at = end
      }
      expect(assembly.size).toBe(message.length)
      expect(Buffer.compare(assembly.join(), message)).toBe(0)
    }
  })

  it('keeps no messages for the sake of single bytes', () => {
    const assembly = new Assembly('m', 1_000, false)
    const before = memoryInUse()
    for (let i = 0; i < 500; i++) assembly.add(partOf(60_000, 1))
    expect(memoryInUse() - before).toBeLessThan(10_000_000)
    expect(assembly.size).toBe(500)
  })
})

it('bytes that are kept keep little else with them', () => {
  expect(toKeep(partOf(60_000, 10)).buffer.byteLength).toBe(10)
  expect(toKeep(partOf(60_000, 0)).buffer.byteLength).toBe(0)
  const large = partOf(20_000, 16_000)
  expect(toKeep(large), 'and are not copied for a few').toBe(large)
})
