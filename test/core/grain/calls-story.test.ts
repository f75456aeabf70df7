/**
 * Seeds of the world: calls of every sort from every process, under every fault, then calm. `CALL_SEEDS=5000` runs
 * more, `CALL_SEED=17` runs one.
 */
import { expect, it } from 'vitest'
import { between, below, pick } from '../../../src/testing/random.ts'
import { KEYS, KINDS, World } from './support/calls-world.ts'

const ONE = process.env['CALL_SEED']
const COUNT = Number(process.env['CALL_SEEDS'] ?? 40)
const STORM_MS = 8_000
const seeds = ONE === undefined ? Array.from({ length: COUNT }, (_, i) => i + 1) : [Number(ONE)]

function live(seed: number): World {
  const world = new World(seed)
  const { random } = world
  const partitions = world.partitions().map(([name]) => name)
  for (const process of world.processes) for (const name of partitions) process.learn(name)
  const harshness = random()
  const during = (meanMs: number, run: () => void): void => {
    for (let at = between(random, 0, meanMs * 2); at < STORM_MS; at += between(random, 0, meanMs * 2))
      world.at(at, run)
  }
  during(60, () => {
    const process = pick(random, world.living())
    const key = pick(random, KEYS)
    const deadline = random() < 0.15 ? between(random, 1, 1_500) : 60_000
    const draw = random()
    const burst = random() < 0.1 ? 1 + below(random, 8) : 1
    for (let i = 0; i < burst; i++) {
      if (draw < 0.4) world.ask(process, 'counter', key, 'add', {}, deadline)
      else if (draw < 0.55) world.ask(process, 'counter', key, 'read', {}, deadline)
      else if (draw < 0.62) world.ask(process, 'counter', key, 'throw', {}, deadline)
      else if (draw < 0.66) world.ask(process, 'loop', key, 'loop', {}, deadline)
      else if (draw < 0.72) world.ask(process, 'again', key, 'again', {}, deadline)
      else if (draw < 0.74) world.ask(process, 'counter', 'broken', 'add', {}, deadline)
      else {
        const kind = random() < 0.5 ? 'bank' : 'clerk'
        const args = { from: pick(random, KEYS), to: pick(random, KEYS), by: 1 + below(random, 9) }
        world.ask(process, kind, key, 'transfer', args, deadline)
      }
    }
  })
  during(400 + 3_000 * harshness, () => world.move(pick(random, partitions)))
  during(1_500 + 4_000 * harshness, () => world.rebirth(pick(random, world.living())))
  during(6_000, () => {
    const process = pick(random, world.living())
    process.frozenUntil =
      world.now + (random() < 0.5 ? between(random, 100, 2_000) : between(random, 3_000, 9_000))
  })
  if (random() < 0.7)
    world.at(between(random, 1_000, STORM_MS), () => world.kill(pick(random, world.living())))
  world.at(STORM_MS, () => {
    world.isCalm = true
    for (const process of world.living()) {
      for (const other of world.processes) if (other.isDead) process.dead.add(other.id)
      for (const [name, { owner }] of world.partitions())
        if (!owner.isDead) world.after(1_000, () => process.learn(name))
    }
  })
  // Every call has ended by then; passivation; nested records have had their time.
  world.run(STORM_MS + 90_000)
  afterCalls(world)
  world.run(STORM_MS + 500_000)
  afterRest(world)
  // One more call to each key, and everything that its calls have left behind goes.
  const [survivor] = world.living()
  for (const kind of Object.keys(KINDS))
    for (const key of KEYS) world.ask(survivor!, kind, key, 'add', {}, 60_000)
  world.run(STORM_MS + 1_000_000)
  afterCleaning(world)
  return world
}

function afterCalls(world: World): void {
  for (const process of world.living()) {
    world.check(process.calls.size === 0, `G4: ${process.calls.size} calls of ${process.id} have not ended`)
    world.check(process.calls.counts.open === 0, 'G4: the counters disagree')
  }
  for (const { op, process, method, key, end } of world.asked.values()) {
    if (!end) {
      world.check(process.isDead, `G4: ${op} has no end`)
      continue
    }
    const [kind = '', name = ''] = key.split('/')
    if (method === 'add' && end.type === 'result') {
      world.check(
        world.state(kind, name).ops[op] === 1,
        `${op} was acknowledged and took effect ${world.state(kind, name).ops[op]} times`,
      )
    }
    if (method === 'transfer' && end.type === 'result') {
      for (const half of ['out', 'in']) {
        const times = KEYS.reduce(
          (sum, key) => sum + (world.state('counter', key).ops[`${op}.${half}`] ?? 0),
          0,
        )
        world.check(times === 1, `${half} of ${op} took effect ${times} times`)
      }
    }
    if (method === 'loop') {
      world.check(!world.began.has(`${op}.inner`), `${op} ran inside itself`)
    }
    if (method === 'again' && end.type === 'result') {
      world.check(world.state(kind, name).ops[`${op}.inner`] === 1, `inner half of ${op}`)
    }
  }
  for (const kind of Object.keys(KINDS)) {
    for (const key of KEYS) {
      const { ops, order, value, version } = world.state(kind, key)
      for (const [op, times] of Object.entries(ops))
        world.check(times === 1, `${op} took effect ${times} times`)
      world.check(version === order.length, `${kind}/${key} has a change that is not its own`)
      if (kind === 'counter') world.check(Number.isInteger(value), 'a value')
      const last = new Map<string, number>()
      for (const op of order) {
        const [caller = '', id = '', nested] = op.split('.')
        if (nested !== undefined) continue
        world.check(Number(id) > (last.get(caller) ?? 0), `${kind}/${key}: ${op} is out of order`)
        last.set(caller, Number(id))
      }
    }
  }
}

function afterRest(world: World): void {
  for (const process of world.living()) {
    world.check(
      process.activations.size === 0,
      `${process.activations.size} grains of ${process.id} are left over`,
    )
    world.check(process.user.size === 0, `${process.user.size} activations of ${process.id} are left over`)
    world.check(process.activations.due === 0, 'a reply is due for ever')
    world.check(
      process.calls.streams === 0,
      `${process.calls.streams} streams of ${process.id} are left over`,
    )
  }
}

function afterCleaning(world: World): void {
  afterRest(world)
  for (const kind of Object.keys(KINDS)) {
    for (const key of KEYS) {
      for (const [caller, { outcomes }] of world.contents(kind, key).callers) {
        world.check(caller.length === 16, `${kind}/${key} keeps a record of a nested call`)
        world.check(
          !world.process(caller)?.isDead,
          `${kind}/${key} keeps records of a caller that is forgotten`,
        )
        // Of those whose word that all is settled was lost: a burst of calls at most, until they call again.
        world.check(outcomes.size <= 16, `${kind}/${key} keeps ${outcomes.size} records of ${caller}`)
      }
    }
  }
}

it(`${seeds.length} seeds hold what calls promise`, { timeout: 600_000 }, () => {
  const failed: string[] = []
  const ends = new Map<string, number>()
  for (const seed of seeds) {
    const world = live(seed)
    for (const { end } of world.asked.values()) {
      const name = !end
        ? 'none'
        : end.type === 'result'
          ? 'result'
          : `${end.code}${end.mayHaveRun ? '' : ' (not run)'}`
      ends.set(name, (ends.get(name) ?? 0) + 1)
    }
    if (world.failures.length > 0) failed.push(`seed ${seed}: ${world.failures.slice(0, 4).join('; ')}`)
    if (failed.length >= 5) break
  }
  // oxlint-disable-next-line no-console -- asked for
  if (process.env['CALL_REPORT']) console.log(Object.fromEntries(ends))
  expect(failed).toEqual([])
})
