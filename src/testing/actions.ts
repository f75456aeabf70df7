/** Carries out the actions of a plan on the processes and the network of a run. */
import type { LinkEnd, LinkHost, SimulatedLinks } from './links.ts'
import type { SimulatedProcess } from './process.ts'
import type { Action } from './schedule.ts'
import type { SignalingRoom } from './signaling-room.ts'
import type { Timeline } from './timeline.ts'

/** What actions act on. */
export interface Room {
  readonly timeline: Timeline
  readonly links: SimulatedLinks
  readonly signaling: SignalingRoom
  /** The living process of a slot. */
  present(slot: number): SimulatedProcess | undefined
  /** Starts a page load in the slot. */
  join(slot: number): void
  /** From now on the process does not count as a member. With `crash` nobody is told but, unless silent, its links. */
  depart(process: SimulatedProcess, crash?: { readonly silent: boolean }): void
  /** The process changed something about itself; `confirmable` if the view hash covers it. */
  changed(process: SimulatedProcess, confirmable: boolean): void
  note(who: SimulatedProcess | undefined, text: string): void
}

/** A leaving process is closed after this, whether or not it is done. */
const LEAVE_MS = 2_000

export class ActionRunner {
  readonly #room: Room

  constructor(room: Room) {
    this.#room = room
  }

  /** Does nothing where what it is about is no longer there. */
  perform(action: Action): void {
    switch (action.type) {
      case 'join':
        for (const slot of action.slots) if (!this.#room.present(slot)) this.#room.join(slot)
        return
      case 'crash':
        for (const slot of action.slots)
          this.#on(slot, action, (process) => this.#crash(process, action.quick))
        return
      case 'partition':
        this.#partition(action.side, action.ms, action.signaling)
        return
      case 'outage':
        this.#room.note(undefined, describe(action))
        this.#room.signaling.outage(action.ms)
        return
      default:
        this.#on(action.slot, action, (process) => this.#act(process, action))
    }
  }

  #act(
    process: SimulatedProcess,
    action: Exclude<Action, { type: 'join' | 'crash' | 'partition' | 'outage' }>,
  ): void {
    const { timeline, links } = this.#room
    switch (action.type) {
      case 'meta':
        return this.#change(process, true, () => process.input({ type: 'set-meta', meta: action.value }))
      case 'peer-state': {
        const { key, value } = action
        return this.#change(process, false, () => process.input({ type: 'set-peer-state', key, value }))
      }
      case 'visibility': {
        const { visibility } = action
        return this.#change(process, false, () => process.input({ type: 'set-visibility', visibility }))
      }
      case 'leave':
        this.#room.depart(process)
        process.thaw()
        process.input({ type: 'leave' })
        return timeline.after(LEAVE_MS, () => process.end(true))
      case 'reload':
        return this.#reload(process, action.goodbye, action.pauseMs)
      case 'cut':
        return this.#link(process, action.choice, (end) => links.cut(end))
      case 'blackhole':
        return this.#link(process, action.choice, (end) => links.blackhole(end, action.ms))
      case 'flap':
        return this.#flap(process, action.choice, action.ms, action.everyMs)
      case 'freeze':
        if (process.frozen) return
        process.freeze()
        if (action.stopped) this.#stopTransport(process, action.ms)
        return timeline.after(action.ms, () => process.thaw())
      case 'sleep':
        if (process.frozen) return
        process.sleep()
        this.#stopTransport(process, action.ms)
        return timeline.after(action.ms, () => process.thaw())
      case 'throttle':
        if (process.throttleMs > 0) return
        process.throttle(action.everyMs, action.slow)
        return timeline.after(action.ms, () => process.throttle(0))
      case 'clock-jump':
        return process.jump(action.ms)
      case 'wall-step':
        process.wallSkewMs += action.ms
    }
  }

  #on(slot: number, action: Action, run: (process: SimulatedProcess) => void): void {
    const process = this.#room.present(slot)
    if (!process) return
    this.#room.note(process, describe(action))
    run(process)
  }

  /** A frozen page runs no code: the change comes with the thaw. */
  #change(process: SimulatedProcess, confirmable: boolean, make: () => void): void {
    const run = () => {
      make()
      this.#room.changed(process, confirmable)
    }
    if (!process.hold(run)) run()
  }

  #crash(process: SimulatedProcess, quick: boolean): void {
    this.#room.depart(process, { silent: !quick })
    process.end(quick)
  }

  /** With goodbye, as `pagehide` does it: the node leaves, what it says goes out, and the page is gone at once. */
  #reload(process: SimulatedProcess, goodbye: boolean, pauseMs: number): void {
    this.#room.depart(process)
    if (goodbye) {
      process.thaw()
      process.input({ type: 'leave' })
    }
    process.end(goodbye)
    this.#room.timeline.after(pauseMs, () => {
      if (!this.#room.present(process.slot)) this.#room.join(process.slot)
    })
  }

  #link(process: SimulatedProcess, choice: number, run: (end: LinkEnd) => void): void {
    const open = [...process.ends.values()].filter((end) => end.state === 'open')
    const end = open[Math.floor(choice * open.length)]
    if (end) run(end)
  }

  /** Nothing answers for the process any more, not even the transport below it. */
  #stopTransport(process: SimulatedProcess, ms: number): void {
    this.#room.links.stopped(process, ms)
    this.#room.signaling.stopped(process, ms)
  }

  /** Cut, silent, cut, silent, as often as there is a link between the two. */
  #flap(process: SimulatedProcess, choice: number, ms: number, everyMs: number): void {
    const { timeline, links } = this.#room
    const until = timeline.now + ms
    this.#link(process, choice, (chosen) => {
      const other = chosen.peer?.host
      const strike = (isCut: boolean): void => {
        if (timeline.now >= until || !process.alive || !other?.alive) return
        const end = [...process.ends.values()].find((one) => one.state === 'open' && one.peer?.host === other)
        if (end && isCut) links.cut(end)
        else if (end) links.blackhole(end, everyMs / 2)
        timeline.after(everyMs, () => strike(!isCut))
      }
      strike(choice < 0.5)
    })
  }

  #partition(side: readonly number[], ms: number, signaling: boolean): void {
    const { links, signaling: room, timeline } = this.#room
    this.#room.note(
      undefined,
      `partition for ${seconds(ms)}: ${side.map((slot) => `n${slot}`).join(' ')} apart`,
    )
    const apart = new Set(side)
    links.partition((a: LinkHost, b: LinkHost) => apart.has(a.slot) !== apart.has(b.slot), ms)
    if (!signaling) room.block((host) => apart.has(host.slot))
    timeline.after(ms, () => {
      this.#room.note(undefined, 'the partition ends')
      links.endPartition()
      room.unblock()
    })
  }
}

function describe(action: Action): string {
  const { type, at: _, ...rest } = action
  const details = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return `! ${type} ${details.join(' ')}`
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
