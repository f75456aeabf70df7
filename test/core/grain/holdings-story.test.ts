/** Holdings under every fault at once. `HOLDING_SEED=n` runs one seed, `HOLDING_SEEDS=n` that many. */
import { describe, expect, it } from 'vitest'
import { tellStory } from './support/holding-story.ts'

const ONE = process.env['HOLDING_SEED']
const COUNT = Number(process.env['HOLDING_SEEDS'] ?? 60)
const BLOCKS = 6

describe('holdings keep G1 and G5, and come to order', () => {
  if (ONE !== undefined) {
    it(`seed ${ONE}`, () => {
      const lines: string[] = []
      try {
        tellStory(Number(ONE), (line) => lines.push(line))
      } finally {
        // eslint-disable-next-line no-console
        if (process.env['HOLDING_TRACE']) console.log(lines.join('\n'))
      }
    })
    return
  }
  it.each(Array.from({ length: BLOCKS }, (_, i) => i))(
    `block %i of ${COUNT} seeds`,
    (block) => {
      let acked = 0
      let takeovers = 0
      for (let seed = block; seed < COUNT; seed += BLOCKS) {
        try {
          const told = tellStory(seed)
          acked += told.acked
          takeovers += told.takeovers
        } catch (error) {
          throw new Error(`HOLDING_SEED=${seed}: ${(error as Error).message}`, { cause: error })
        }
      }
      expect(acked).toBeGreaterThan(COUNT)
      expect(takeovers).toBeGreaterThan(COUNT / BLOCKS)
    },
    600_000,
  )
})
