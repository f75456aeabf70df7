/**
 * Cores that host counters, in a room: a handler adds the name of its call to the state of its key, so that it can be
 * seen afterwards what took effect, and how often.
 */
import type { GrainOutput } from '../../../src/core/grain/grain-outputs.ts'
import { DEFAULT_KIND_TUNING } from '../../../src/core/grain/grain-outputs.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { partitionOf } from '../../../src/core/partition/partition.ts'
import type { CallEnd } from '../../../src/core/rpc/calls.ts'
import { coreOf } from './nodes.ts'
import type { CoreOptions } from './nodes.ts'
import type { GrainWork, Participant } from './room.ts'
import { Room } from './room.ts'

export const COUNTER: CoreOptions = {
  kinds: new Map([['counter', { ...DEFAULT_KIND_TUNING, version: 1, accepts: [1] }]]),
}

export interface Op {
  readonly name: string
  readonly key: string
  readonly from: NodeCore
  readonly startedAt: number
  end: CallEnd | undefined
  endedAt: number
}

interface Running {
  readonly key: string
  names: string[]
}

export class GrainTabs {
  readonly room = new Room()
  readonly tabs: NodeCore[] = []
  readonly ops = new Map<number, Op>()
  /** Whether counters make one state of two: names of both, those of the council that is followed first. */
  merges = true
  /** Keys whose activations were given states of other sides. */
  readonly merged: string[] = []
  readonly #running = new Map<Participant, Map<number, Running>>()
  #calls = 0

  constructor(quietMs = 60_000) {
    this.room.recording = false
    this.room.quietMs = quietMs
    this.room.onGrain = (tab, work) => this.#onGrain(tab as NodeCore, work)
  }

  join(options: CoreOptions = COUNTER): NodeCore {
    const core = coreOf(this.#running.size + 1, options)
    this.tabs.push(core)
    this.#running.set(core, new Map())
    this.room.join(core)
    return core
  }

  /** Whoever may run the key now, of those that believe so. */
  hostsOf(key: string): NodeCore[] {
    const partition = partitionOf('counter', key)
    const now = { mono: this.room.now, wall: 1_000_000 + this.room.now }
    return this.tabs.filter(({ grains }) => grains.holdings.mayRun(partition, now))
  }

  call(from: NodeCore, key: string, method = 'add', deadlineMs?: number): Op {
    const id = ++this.#calls
    const name = `${method}${id}`
    const op: Op = { name, key, from, startedAt: this.room.now, end: undefined, endedAt: 0 }
    this.ops.set(id, op)
    const args = new TextEncoder().encode(name)
    const request = {
      id,
      kind: 'counter',
      key,
      method,
      args,
      ...(deadlineMs !== undefined && { deadlineMs }),
    }
    this.room.feed(from, { type: 'grain-call', request })
    return op
  }

  /** Calls and waits. */
  ask(from: NodeCore, key: string, method = 'add', withinMs = 12_000): Op {
    const op = this.call(from, key, method)
    this.room.until(() => op.end !== undefined, `${op.name} of ${key} ends`, withinMs)
    return op
  }

  namesOf(key: string, from = this.tabs[0]!): string[] {
    const { end } = this.ask(from, key, 'read')
    if (end?.type !== 'result') throw new Error(`${key} cannot be read: ${JSON.stringify(end)}`)
    return namesIn(end.bytes)
  }

  /** Every acknowledged change is there, and none twice. */
  check(key: string): void {
    const names = this.namesOf(key)
    if (new Set(names).size !== names.length)
      throw new Error(`${key} has something twice: ${names.join(' ')}`)
    for (const op of this.ops.values()) {
      const counts = op.key === key && op.name.startsWith('add') && op.end?.type === 'result'
      if (counts && !names.includes(op.name)) throw new Error(`${op.name} of ${key} is lost`)
    }
  }

  kill(tab: NodeCore): void {
    this.#forget(tab)
    this.room.kill(tab)
  }

  /** Closed: its goodbye is carried, and then it is gone. */
  close(tab: NodeCore): void {
    this.#forget(tab)
    this.room.feed(tab, { type: 'leave' })
    this.room.run(5)
    this.room.kill(tab)
  }

  #forget(tab: NodeCore): void {
    this.tabs.splice(this.tabs.indexOf(tab), 1)
  }

  #onGrain(tab: NodeCore, work: GrainWork): void {
    if (work.type === 'grain-ended') {
      const op = this.ops.get(work.id)!
      if (op.end) throw new Error(`${op.name} ended twice`)
      op.end = work.end
      op.endedAt = this.room.now
    } else this.#execute(tab, work.output)
  }

  #execute(tab: NodeCore, output: GrainOutput): void {
    const running = this.#running.get(tab)!
    const { room } = this
    switch (output.type) {
      case 'activate': {
        const { activation, key, others = [] } = output
        const own = namesIn(output.state)
        if (others.length > 0) this.merged.push(key)
        const names =
          this.merges && others.length > 0 ? [...new Set([...own, ...others.flatMap(namesIn)])] : own
        running.set(activation, { key, names })
        const state = names.length > own.length ? { state: new TextEncoder().encode(names.join(' ')) } : {}
        const settled = { ...state, isMerged: this.merges }
        return room.later(1, tab, {
          type: 'grain-activated',
          activation,
          ...(others.length > 0 && { settled }),
        })
      }
      case 'invoke': {
        const activation = running.get(output.activation)
        if (!activation) return
        if (output.method === 'add') activation.names.push(new TextDecoder().decode(output.args))
        else if (output.method === 'clear') activation.names = []
        const bytes = new TextEncoder().encode(activation.names.join(' '))
        const state =
          output.method === 'add' ? { state: bytes } : output.method === 'clear' ? { state: null } : {}
        const { invocation } = output
        return room.later(1, tab, {
          type: 'grain-invoked',
          invocation,
          invoked: { type: 'ok', bytes, ...state },
        })
      }
      case 'restore':
        running.get(output.activation)!.names = namesIn(output.state)
        return
      case 'passivate':
        running.delete(output.activation)
        return room.later(1, tab, { type: 'grain-passivated', activation: output.activation })
      case 'abort':
        running.delete(output.activation)
    }
  }
}

const namesIn = (state: Uint8Array | undefined): string[] =>
  state && state.length > 0 ? new TextDecoder().decode(state).split(' ') : []
