/**
 * Councils under every fault there is, seed by seed. `RAFT_SEED=17` replays one, `RAFT_SEEDS=5000` runs as many,
 * `RAFT_FROM=n` from that one on.
 */
import { expect, it } from 'vitest'
import { simulate } from './support/simulation.ts'

const ONE = process.env['RAFT_SEED']
const FROM = Number(ONE ?? process.env['RAFT_FROM'] ?? 1)
const SEEDS = ONE === undefined ? Number(process.env['RAFT_SEEDS'] ?? 200) : 1

it(
  `keeps what Raft promises, and gets going again (${SEEDS} seeds from ${FROM})`,
  () => {
    const failures: string[] = []
    const seen: Record<string, number> = {}
    for (let seed = FROM; seed < FROM + SEEDS && failures.length < 10; seed++) {
      try {
        const { invariants } = simulate(seed)
        for (const [what, count] of Object.entries(invariants.seen)) seen[what] = (seen[what] ?? 0) + count
      } catch (error) {
        failures.push(`RAFT_SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`)
        if (ONE !== undefined) throw error
      }
    }
    if (process.env['RAFT_SEEDS'] !== undefined) process.stdout.write(`${JSON.stringify(seen)}\n`)
    expect(failures).toEqual([])
    // A run in which nothing happens proves nothing.
    for (const what of ['leases', 'elections', 'installs', 'applied', 'dropped', 'confirmed']) {
      expect(seen[what], what).toBeGreaterThan(SEEDS / 2)
    }
  },
  15 * 60_000,
)
