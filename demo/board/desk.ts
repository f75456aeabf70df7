import { ClusterError, type Cluster, type OpeningCluster } from '../../src/index.ts'
import type { CallMeter } from './call-meter.ts'
import { BOARD_KEY, MAX_CARDS, readCard, readHost } from './kinds.ts'
import type { BoardKinds, CardReading, Draft, Host } from './kinds.ts'
import { News } from './news.ts'
import { problemOf } from './problems.ts'

export interface DeskHandlers {
  /** What is on the desk is not what it was. */
  onChange(): void
  /** What is laid out where the board is empty and new. */
  firstCards(): readonly (Draft & { readonly id: string })[]
  /** Who changes things here. */
  name(): string
}

/** `out`: in no cluster; `seeking`: the board has not answered yet. */
export type DeskPhase = 'out' | 'seeking' | 'open'

/** The list of cards, where an id is expected: no card can have it. */
const LIST = ''
const RETRY_MS = 1_500
/** Every so often one card is looked at, whatever was told: news can be lost with the tab that had it. */
const PATROL_MS = 5_000
/** Reads under way at a time while somebody measures. */
const LOAD_CALLS = 4

/** What this tab knows of the board: asks the grains, and asks again when somebody has changed one or its host is gone. */
export class Desk {
  readonly #kinds: BoardKinds
  readonly #meter: CallMeter
  readonly #handlers: DeskHandlers
  readonly #cards = new Map<string, CardReading>()
  /** Cards that are shown, and can be written on, while nobody hosts them yet. */
  readonly #adding = new Map<string, Promise<boolean>>()
  #ids: readonly string[] = []
  #boardHost: Host | undefined
  #phase: DeskPhase = 'out'
  #problem = ''
  #visit: Visit | undefined
  #loadEnds = 0

  constructor(kinds: BoardKinds, meter: CallMeter, handlers: DeskHandlers) {
    this.#kinds = kinds
    this.#meter = meter
    this.#handlers = handlers
  }

  get phase(): DeskPhase {
    return this.#phase
  }

  /** Cards that have been read, in the order in which they were added. */
  get cards(): readonly (readonly [id: string, card: CardReading])[] {
    return [...new Set([...this.#ids, ...this.#adding.keys()])].flatMap((id) => {
      const card = this.#cards.get(id)
      return card ? [[id, card] as const] : []
    })
  }

  get isFull(): boolean {
    return this.#ids.length >= MAX_CARDS
  }

  /** How many cards there are, those included that have not been read yet. */
  get size(): number {
    return new Set([...this.#ids, ...this.#adding.keys()]).size
  }

  /** What went wrong last, in plain words; empty once something went well. */
  get problem(): string {
    return this.#problem
  }

  /** Whether calls are made only to be measured. */
  get isUnderLoad(): boolean {
    return performance.now() < this.#loadEnds
  }

  /** Starts with a membership. Returns the way to stop. */
  watch(cluster: OpeningCluster): () => void {
    const visit = new Visit(cluster, (ids) => {
      for (const id of ids === 'all' ? [LIST, ...this.#ids] : ids) this.#look(visit, id)
    })
    this.#visit = visit
    this.#to('seeking')
    const stop = cluster.on('member-status', ({ nodeId, to }) => {
      if (to !== 'unreachable' && to !== 'removed') return
      if (this.#boardHost?.nodeId === nodeId) this.#look(visit, LIST)
      for (const [id, { host }] of this.#cards) if (host.nodeId === nodeId) this.#look(visit, id)
    })
    const patrol = setInterval(() => this.#patrol(visit), PATROL_MS)
    cluster.ready.then(
      () => void this.#open(visit),
      () => {},
    )
    return () => {
      stop()
      clearInterval(patrol)
      visit.end()
      if (this.#visit !== visit) return
      this.#visit = undefined
      this.#cards.clear()
      this.#ids = []
      this.#boardHost = undefined
      this.#problem = ''
      this.#loadEnds = 0
      this.#to('out')
    }
  }

  /** Adds a card, which is there at once, and gives its id. It is gone again where the board has no room for it. */
  add(draft: Draft): string {
    const id = `card-${String(Math.random()).slice(2, 14)}`
    const by = this.#handlers.name()
    this.#cards.set(id, { ...draft, by, edits: 0, jumps: 0, trail: [], host: readHost(undefined) })
    this.#adding.set(id, this.#add(id, draft, by))
    this.#handlers.onChange()
    return id
  }

  async remove(id: string): Promise<boolean> {
    await this.#adding.get(id)
    return this.#change(LIST, ({ board }) => board.remove(id))
  }

  /**
   * `before`: what the text was made from.
   * @throws ClusterError where it was not stored: it is the caller's to try again
   */
  async write(id: string, text: string, before: string): Promise<void> {
    await this.#adding.get(id)
    await this.#demand(id, ({ card }) => card(id).write(text, this.#handlers.name(), before))
  }

  /** @throws ClusterError where it was not stored: it is the caller's to try again */
  async move(id: string, x: number, y: number): Promise<void> {
    await this.#adding.get(id)
    await this.#demand(id, ({ card }) => card(id).move(x, y))
  }

  async paint(id: string, color: string): Promise<void> {
    await this.#adding.get(id)
    await this.#change(id, ({ card }) => card(id).paint(color))
  }

  /** Reads the cards as fast as they answer for so long; 0 ends it. */
  load(ms: number): void {
    const visit = this.#visit
    const wasUnderLoad = this.isUnderLoad
    this.#loadEnds = ms === 0 ? 0 : performance.now() + ms
    if (visit && !wasUnderLoad && ms > 0) {
      for (let lane = 0; lane < LOAD_CALLS; lane++) void this.#loadLane(visit, lane)
    }
    this.#handlers.onChange()
  }

  async #open(visit: Visit): Promise<void> {
    while (!visit.isOver && this.#phase === 'seeking') {
      const { board } = this.#grainsOf(visit)
      const isOpen = await this.#attempt(visit, LIST, () =>
        board.open(this.#handlers.firstCards(), this.#handlers.name()),
      )
      if (isOpen) return this.#to('open')
      await pause(RETRY_MS)
    }
  }

  #patrol(visit: Visit): void {
    if (this.#phase !== 'open' || document.hidden) return
    this.#look(visit, [LIST, ...this.#ids][visit.round++ % (this.#ids.length + 1)]!)
  }

  /** Reads one card, or the list, again: once more after the read that is under way, and not more often. */
  #look(visit: Visit, id: string): void {
    if (visit.isOver || this.#phase !== 'open') return
    const reading = visit.reading.get(id)
    if (reading) {
      reading.isStale = true
      return
    }
    const now = { isStale: false }
    visit.reading.set(id, now)
    const { board, card } = this.#grainsOf(visit)
    void (async () => {
      const isRead = await this.#attempt(visit, id, () => (id === LIST ? board.list() : card(id).read()))
      if (!isRead) await pause(RETRY_MS)
      visit.reading.delete(id)
      if (now.isStale || (!isRead && (id === LIST || this.#ids.includes(id)))) this.#look(visit, id)
    })()
  }

  /** Tries until it is done: adding the same card twice adds it once. */
  async #add(id: string, draft: Draft, by: string): Promise<boolean> {
    const visit = this.#visit
    let end: 'open' | 'done' | 'refused' = 'open'
    while (end === 'open' && this.#visit === visit) {
      try {
        await this.#demand(LIST, ({ board }) => board.add(id, draft, by))
        end = 'done'
      } catch (error) {
        if (error instanceof ClusterError && error.code === 'grain-threw') end = 'refused'
        else await pause(RETRY_MS)
      }
    }
    this.#adding.delete(id)
    if (end !== 'done') this.#cards.delete(id)
    else if (visit) this.#look(visit, id)
    this.#handlers.onChange()
    return end === 'done'
  }

  /** Makes a change; tells whether it is made. */
  async #change(id: string, call: (grains: Grains) => Promise<unknown>): Promise<boolean> {
    try {
      await this.#demand(id, call)
      return true
    } catch {
      return false
    }
  }

  async #demand(id: string, call: (grains: Grains) => Promise<unknown>): Promise<void> {
    const visit = this.#visit
    if (!visit) throw new Error('This tab is in no room.')
    try {
      this.#take(visit, id, await this.#meter.measure(() => call(this.#grainsOf(visit))))
      visit.news.tell(id)
    } catch (error) {
      this.#fail(visit, error)
      throw error
    }
  }

  async #attempt(visit: Visit, id: string, call: () => Promise<unknown>): Promise<boolean> {
    try {
      this.#take(visit, id, await this.#meter.measure(call))
      return true
    } catch (error) {
      this.#fail(visit, error)
      return false
    }
  }

  /** One answer of a grain. */
  #take(visit: Visit, id: string, answer: unknown): void {
    if (visit.isOver) return
    this.#problem = ''
    if (id === LIST) this.#takeList(visit, answer)
    else {
      const card = readCard(answer)
      if (card) this.#cards.set(id, card)
      else this.#cards.delete(id)
    }
    this.#handlers.onChange()
  }

  #takeList(visit: Visit, answer: unknown): void {
    const { ids, host } = (answer ?? {}) as { ids?: unknown; host?: unknown }
    const isText = (id: unknown): id is string => typeof id === 'string' && id !== LIST
    this.#ids = Array.isArray(ids) ? ids.filter(isText).slice(0, MAX_CARDS) : []
    this.#boardHost = readHost(host)
    for (const id of this.#cards.keys()) {
      if (!this.#ids.includes(id) && !this.#adding.has(id)) this.#cards.delete(id)
    }
    if (this.#phase === 'seeking') this.#phase = 'open'
    for (const id of this.#ids) if (!this.#cards.has(id)) this.#look(visit, id)
  }

  #fail(visit: Visit, error: unknown): void {
    if (visit.isOver) return
    // before there is a board its tabs may still have to find each other: that takes time, and nobody has to do anything
    if (this.#phase === 'seeking' && isPatience(error)) return
    this.#problem = problemOf(error)
    this.#handlers.onChange()
  }

  async #loadLane(visit: Visit, lane: number): Promise<void> {
    const { board, card } = this.#grainsOf(visit)
    for (let turn = lane; this.isUnderLoad && !visit.isOver; turn += LOAD_CALLS) {
      const id = [LIST, ...this.#ids][turn % (this.#ids.length + 1)]!
      const isRead = await this.#attempt(visit, id, () => (id === LIST ? board.list() : card(id).read()))
      // a grain of this very tab answers without a turn of the event loop: the page must have one all the same
      await pause(isRead ? 0 : RETRY_MS)
    }
    this.#handlers.onChange()
  }

  #grainsOf({ cluster }: Visit): Grains {
    return grainsOf(cluster, this.#kinds)
  }

  #to(phase: DeskPhase): void {
    this.#phase = phase
    this.#handlers.onChange()
  }
}

type Grains = ReturnType<typeof grainsOf>

const grainsOf = (cluster: Cluster, { Board, Card }: BoardKinds) => ({
  board: cluster.grain(Board, BOARD_KEY),
  card: (id: string) => cluster.grain(Card, id),
})

/** One membership, from its start to its end. */
class Visit {
  readonly cluster: Cluster
  readonly news: News
  /** Reads under way, by id; `isStale` where there was news of it meanwhile. */
  readonly reading = new Map<string, { isStale: boolean }>()
  isOver = false
  round = 0

  constructor(cluster: Cluster, onNews: (ids: readonly string[] | 'all') => void) {
    this.cluster = cluster
    this.news = new News(cluster, onNews)
  }

  end(): void {
    this.isOver = true
    this.news.stop()
  }
}

const isPatience = (error: unknown): boolean =>
  error instanceof ClusterError && (error.code === 'deadline' || error.code === 'no-council')

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))
