/** One seed: faults of all kinds for a while, then peace, and everything must come to order. */
import { below, between, pick, seededRandom } from '../../../../src/testing/random.ts'
import { fingerprint, World } from './holding-world.ts'
import type { Op, Process } from './holding-world.ts'

const FAULTY_MS = 30_000
/** Views, copies, surplus rounds and stale copies all take their time. */
const PEACE_MS = 50_000
const STALE_MS = 8_000

export interface Told {
  readonly acked: number
  readonly takeovers: number
  readonly epochs: number
  readonly lost: number
  readonly refused: number
  readonly sent: number
}

export function tellStory(seed: number, trace?: (line: string) => void): Told {
  const random = seededRandom(seed, 'story')
  const world = new World({
    seed,
    processes: 3 + below(random, 4),
    slots: 1 + below(random, 4),
    tuning: { staleMs: STALE_MS, copyPartBytes: 40 },
    tellMs: pick(random, [100, 300, 2_000]),
    unknownShare: pick(random, [0, 0.1, 0.4]),
    drift: pick(random, [0, 0.05]),
    replicas: pick(random, [2, 3, 3]),
  })
  if (trace) world.trace = (line) => trace(`${world.time.toFixed(0)} ${line}`)
  world.loss = pick(random, [0, 0.05, 0.3])
  const pace = pick(random, [400, 1_200, 4_000])
  const pick2 = (): [Process, Process] => {
    const a = pick(random, world.processes)
    return [
      a,
      pick(
        random,
        world.processes.filter((process) => process !== a),
      ),
    ]
  }
  const living = (): Process[] => world.processes.filter(({ condition }) => condition !== 'dead')
  let isPeace = false
  for (const partition of world.partitions)
    for (const process of world.processes) process.turn(() => process.holdings.wake(partition, process.now))

  const work = (): void => {
    const partition = pick(random, world.partitions)
    const open = world.ops.filter((op) => op.partition === partition && !op.isAcked && !world.lost.has(op.id))
    const op: Op = open.length > 0 && random() < 0.7 ? pick(random, open) : world.newOp(partition)
    // Callers ask whom they believe to be the owner; here everybody who might is asked.
    for (const process of world.processes) if (process.isUp) world.work(process, op)
    if (world.ops.length < 150) world.after(between(random, 50, 600), work)
    else retry()
  }
  const retry = (): void => {
    const open = world.ops.filter((op) => !op.isAcked && !world.lost.has(op.id))
    if (open.length === 0) return
    const op = pick(random, open)
    for (const process of world.processes) if (process.isUp) world.work(process, op)
    world.after(between(random, 50, 400), retry)
  }
  world.after(100, work)
  const view = (): void => {
    // Everybody's view follows the truth, late.
    for (const process of world.processes) {
      for (const other of world.processes) {
        if (process === other) continue
        const isGone =
          !other.isUp || other.hasLeft || world.isCut(process, other) || world.isCut(other, process)
        if (isGone === process.believedGone.has(other.name) || random() < 0.6) continue
        if (isGone) process.believedGone.add(other.name)
        else process.believedGone.delete(other.name)
        process.turn(() => process.holdings.onLiveness(other.name, process.now))
      }
    }
    world.after(between(random, 200, 900), view)
  }
  view()
  const sweep = (): void => {
    world.sweep()
    world.after(1_000, sweep)
  }
  world.after(1_000, sweep)

  const say = (text: string): void => world.trace?.(`-- ${text}`)
  const faults: (() => void)[] = [
    () => {
      const process = pick(random, living())
      if (!process.isUp) return
      const asleep = random() < 0.5
      say(`${process.name} ${asleep ? 'sleeps' : 'freezes'}`)
      process.become(asleep ? 'asleep' : 'frozen')
      world.after(between(random, 200, random() < 0.5 ? 2_000 : 15_000), () => {
        if (process.condition !== 'dead') process.become('running')
        say(`${process.name} is back`)
      })
    },
    () => {
      if (living().length <= 2) return
      const process = pick(random, living())
      say(`${process.name} dies`)
      process.become('dead')
    },
    () => {
      const [a, b] = pick2()
      const isOneWay = random() < 0.5
      say(`cut ${a.name} ${b.name} ${isOneWay ? 'one way' : ''}`)
      world.cut(a, b)
      if (!isOneWay) world.cut(b, a)
      world.after(between(random, 300, 9_000), () => {
        world.mend(a, b)
        world.mend(b, a)
      })
    },
    () => {
      const process = pick(random, living())
      say(`${process.name} is isolated`)
      process.isCutOffCouncil = true
      for (const other of world.processes) {
        if (other === process || random() < 0.2) continue
        world.cut(process, other)
        if (random() < 0.8) world.cut(other, process)
      }
      world.after(between(random, 500, 9_000), () => {
        process.isCutOffCouncil = false
        for (const other of world.processes) {
          world.mend(process, other)
          world.mend(other, process)
        }
        world.tellAll(process)
      })
    },
    () => {
      const process = pick(random, living())
      process.isCutOffCouncil = true
      say(`${process.name} hears nothing of the council`)
      world.after(between(random, 500, 9_000), () => (process.isCutOffCouncil = false))
    },
    () => {
      const process = pick(random, living())
      say(`${process.name} has a new life`)
      world.newLife(process)
    },
    () => {
      const process = pick(random, living())
      // A machine that sleeps while somebody sets its clock back by as much cannot know that it slept.
      process.stepWall(between(random, process.condition === 'asleep' ? 0 : -10_000, 10_000))
    },
    () => {
      const [process, other] = pick2()
      say(`${process.name} accuses ${other.name}`)
      process.accused.add(other.name)
      process.turn(() => process.holdings.onLiveness(other.name, process.now))
      world.after(between(random, 200, 5_000), () => {
        process.accused.delete(other.name)
        process.turn(() => process.holdings.onLiveness(other.name, process.now))
      })
    },
    () => {
      // Everybody at once: then nothing but patience protects the accused.
      const other = pick(random, living())
      say(`all accuse ${other.name}`)
      for (const process of world.processes) {
        if (process === other) continue
        process.accused.add(other.name)
        process.turn(() => process.holdings.onLiveness(other.name, process.now))
        world.after(between(random, 2_000, 9_000), () => {
          process.accused.delete(other.name)
          process.turn(() => process.holdings.onLiveness(other.name, process.now))
        })
      }
    },
    () => {
      const process = pick(random, living())
      if (living().length <= 2 || !process.isUp) return
      say(`${process.name} releases`)
      process.turn(() => process.holdings.release(process.now))
      if (random() < 0.5) {
        process.hasLeft = true
        world.after(between(random, 10, 800), () => process.become('dead'))
      } else {
        world.after(between(random, 100, 3_000), () =>
          process.turn(() => process.holdings.resume(process.now)),
        )
      }
    },
    () => {
      const partition = pick(random, world.partitions)
      const entry = world.map.get(partition)!
      const owner = entry.owner === undefined ? undefined : world.find(entry.owner)
      const to = pick(random, entry.inSync)
      say(`move ${partition} to ${to}`)
      owner?.turn(() => owner.holdings.moveTo(partition, to, owner.now))
    },
    () => {
      const process = pick(random, living())
      const partition = pick(random, world.partitions)
      process.turn(() => process.holdings.rest(partition, process.now))
      world.after(between(random, 10, 3_000), () =>
        process.turn(() => process.holdings.wake(partition, process.now)),
      )
    },
    () => {
      if (world.processes.length >= 9) return
      const process = world.join()
      say(`${process.name} joins`)
      world.tellAll(process)
      for (const partition of world.partitions)
        process.turn(() => process.holdings.wake(partition, process.now))
      for (const other of world.processes)
        other.turn(() => other.holdings.onLiveness(process.name, other.now))
    },
    () => {
      const partition = pick(random, world.partitions)
      const process = pick(random, living())
      process.turn(() => process.holdings.seek(partition, process.now))
    },
  ]
  const fault = (): void => {
    if (isPeace) return
    pick(random, faults)()
    world.after(between(random, 0, pace * 2), fault)
  }
  world.after(2_000, fault)
  world.runFor(FAULTY_MS)

  isPeace = true
  say('peace')
  world.runFor(5_000)
  world.loss = 0
  world.mendAll()
  for (const process of world.processes) {
    process.isCutOffCouncil = false
    process.accused.clear()
    if (process.condition === 'frozen' || process.condition === 'asleep') process.become('running')
  }
  for (const process of world.processes)
    process.turn(() => {
      for (const other of world.processes) process.holdings.onLiveness(other.name, process.now)
    })
  world.runFor(PEACE_MS)
  mustBeInOrder(world)
  const { acked, takeovers, epochs, lost, refused, sent } = world.counts
  return { acked, takeovers, epochs, lost, refused, sent }
}

function mustBeInOrder(world: World): void {
  for (const partition of world.partitions) {
    const entry = world.map.get(partition)!
    const owner = entry.owner === undefined ? undefined : world.find(entry.owner)
    const told = `${partition} ${JSON.stringify(entry)}`
    if (!owner?.isUp) throw new Error(`liveness: nobody owns ${told}`)
    if (!owner.holdings.mayRun(partition, owner.now))
      throw new Error(`liveness: its owner may not run ${told}`)
    const targets = owner.targets(partition).sort().join()
    if ([...entry.inSync].sort().join() !== targets)
      throw new Error(`liveness: not in sync are ${targets}: ${told}`)
    world.holdsAllAcked(owner, partition)
    const original = owner.holdings.copyOf(partition)!
    for (const process of world.processes) {
      if (process.condition === 'dead') continue
      const copy = process.holdings.copyOf(partition)
      if (!entry.inSync.includes(process.name)) {
        if (copy) throw new Error(`memory: ${process.name} still holds ${told}`)
        continue
      }
      if (!copy || copy.number !== original.number) throw new Error(`${process.name} is behind in ${told}`)
      if (fingerprint(copy) !== fingerprint(original)) throw new Error(`${process.name} differs in ${told}`)
    }
  }
  for (const op of world.ops)
    if (!op.isAcked && !world.lost.has(op.id)) throw new Error(`${op.id} is never acknowledged`)
}
