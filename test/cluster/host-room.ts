/**
 * A room of processes with real grains: the user's code runs in a GrainHost, which stands at the door of a real core.
 * Only the links between them, and the clock, are the room's.
 */
import { GrainHost } from '../../src/cluster/grain-host.ts'
import type { Threw } from '../../src/cluster/grain-host.ts'
import { hostedKinds } from '../../src/cluster/hosted-kinds.ts'
import type { Input } from '../../src/core/events.ts'
import type { GrainOutput } from '../../src/core/grain/grain-outputs.ts'
import type { KindVersions } from '../../src/core/published-kinds.ts'
import type { CallEnd } from '../../src/core/rpc/calls.ts'
import type { ClusterError } from '../../src/errors.ts'
import { DEFAULT_ACTIVATION_LIMITS } from '../../src/grains/activation-host.ts'
import type { ActivationLimits } from '../../src/grains/activation-host.ts'
import { valueCodec } from '../../src/grains/codec.ts'
import type { ValueCodec } from '../../src/grains/codec.ts'
import type { GrainKind } from '../../src/grains/types.ts'
import type { Clock } from '../../src/ports.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { GrainRoom, kindsOf } from '../core/grain/support/grain-room.ts'
import type { Process } from '../core/grain/support/grain-room.ts'

export interface HostOptions {
  readonly limits?: Partial<ActivationLimits>
  readonly codec?: ValueCodec
}

/** One process: what a tab would have. */
export interface Tab {
  readonly process: Process
  readonly host: GrainHost
  readonly threw: Threw[]
  /** Everything that its host has told the core. */
  readonly fed: Input[]
}

export class HostRoom {
  readonly room: GrainRoom
  readonly tabs: Tab[] = []

  constructor(seed = 1) {
    this.room = new GrainRoom(seed)
  }

  join(kinds: readonly GrainKind[], options: HostOptions = {}): Tab {
    const { room } = this
    const outputs: (() => void)[] = []
    let isBusy = false
    const hosted = hostedKinds(kinds)
    const threw: Threw[] = []
    const fed: Input[] = []
    const host: GrainHost = new GrainHost({
      kinds,
      codec: options.codec ?? valueCodec,
      clock: clockOf(room),
      random: seededRandom(this.tabs.length, 'host'),
      limits: { ...DEFAULT_ACTIVATION_LIMITS, ...options.limits },
      feed: (inputs) => {
        fed.push(...inputs)
        room.input(process, () => {
          for (const input of inputs) give(process, input, room)
        })
        return true
      },
      parentOf: (invocation) => process.grains.parentOf(invocation, room.now()),
      versionsOf: (kind) => this.#versionsOf(process, kind),
      attemptsOf: (id) => process.grains.calls.attemptsOf(id),
      onThrew: (one) => void threw.push(one),
    })
    const process: Process = room.join(undefined, {
      kinds: hosted,
      execute: (output: GrainOutput) => void outputs.push(() => host.execute(output)),
      ended: (id: number, end: CallEnd) => void outputs.push(() => host.ended(id, end)),
      rest: () => {
        if (isBusy) return
        isBusy = true
        for (let next = outputs.shift(); next; next = outputs.shift()) next()
        isBusy = false
      },
    })
    const tab: Tab = { process, host, threw, fed }
    this.tabs.push(tab)
    if (this.tabs.length === 1) room.found(process)
    return tab
  }

  /** Lets time pass until the promise has settled, and gives its result. */
  async settled<T>(promise: Promise<T>, withinMs = 30_000): Promise<T> {
    let isSettled = false
    const note = (): void => void (isSettled = true)
    promise.then(note, note)
    await this.until('a promise is settled', () => isSettled, withinMs)
    return promise
  }

  async until(what: string, isSo: () => boolean, withinMs = 30_000): Promise<void> {
    const end = this.room.t + withinMs
    await reactions()
    while (!isSo()) {
      if (this.room.t >= end) throw new Error(`not within ${withinMs} ms: ${what}`)
      this.room.run(5)
      await reactions()
    }
  }

  async run(ms: number): Promise<void> {
    const end = this.room.t + ms
    await this.until('the time is over', () => this.room.t >= end, ms + 1)
  }

  /** The tab that hosts a key now: the only one with an activation of it. */
  hostsOf(kind: string, key: string): Tab[] {
    return this.tabs.filter(
      ({ process }) => process.isAlive && process.grains.activations.recordsOf(kind, key) > 0,
    )
  }

  #versionsOf(process: Process, kind: string): readonly KindVersions[] {
    return this.room.seenBy(process).flatMap((other) => {
      const hosted = kindsOf(other).get(kind)
      return hosted ? [hosted] : []
    })
  }
}

/** The code of the ClusterError that a promise rejects with, and the error. */
export async function errorOf(promise: Promise<unknown>): Promise<ClusterError> {
  try {
    const result = await promise
    throw new Error(`no error, but ${JSON.stringify(result)}`)
  } catch (error) {
    return error as ClusterError
  }
}

function give({ grains }: Process, input: Input, room: GrainRoom): void {
  const now = room.now()
  switch (input.type) {
    case 'grain-call':
      return grains.call(input.request, now)
    case 'grain-abort':
      return grains.abort(input.id, now)
    case 'grain-activated':
      return grains.onActivated(input.activation, input.problem, now, input.settled)
    case 'grain-invoked':
      return grains.onInvoked(input.invocation, input.invoked, now)
    case 'grain-passivated':
      return grains.onPassivated(input.activation, input.state, now)
    default:
      throw new Error(`${input.type} is not for grains`)
  }
}

function clockOf(room: GrainRoom): Clock {
  return {
    now: () => room.now(),
    timer: (delayMs, callback) => {
      let isSet = true
      room.at(delayMs, () => {
        if (isSet) callback()
        isSet = false
      })
      return () => void (isSet = false)
    },
  }
}

/** Promise reactions run, however many wait for each other. */
const reactions = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
