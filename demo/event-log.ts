import type { ClusterEvent } from '../src/index.ts'
import { byId, html, setText } from './dom.ts'
import type { Doubt } from './doubts.ts'
import { formatTime } from './format.ts'
import { createFrame } from './frame.ts'
import { describe, type Names, type Sentence, type Topic } from './sentences.ts'

interface Entry {
  readonly topic: Topic
  readonly element: HTMLLIElement
  readonly height: number
}

type Filter = Topic | 'all'

/** Entries kept; the cluster itself keeps the newest 1,000 events. */
const MAX_ENTRIES = 200
/** Heights of an entry without and with a second line, in px; the same as in log.css. */
const LOW = 27
const HIGH = 43

/**
 * The event log, newest first. Entries hang at fixed heights and move by `transform` alone, so a burst of events
 * shifts no layout; a reader who has scrolled down keeps the lines that are being read.
 */
export class EventLog {
  readonly #list = byId('event-log', HTMLOListElement)
  readonly #scroll = byId('event-scroll', HTMLElement)
  readonly #pause = byId('pause', HTMLButtonElement)
  readonly #request = createFrame(() => this.#flush())
  /** Newest first. */
  #entries: Entry[] = []
  /** What happened while the log was paused or no frame came, oldest first. */
  #waiting: (ClusterEvent | Doubt)[] = []
  readonly #names: Names
  #filter: Filter = 'all'
  #isPaused = false

  constructor(names: Names) {
    this.#names = names
    byId('event-filter', HTMLFieldSetElement).addEventListener('change', (event) => {
      if (event.target instanceof HTMLInputElement) this.#narrow(event.target.value as Filter)
    })
    this.#pause.addEventListener('click', () => this.#setPaused(!this.#isPaused))
  }

  /** Phrased at the next frame: by then the names of newcomers are known. */
  add(event: ClusterEvent | Doubt): void {
    if (!describe(event, this.#names)) return
    this.#waiting.push(event)
    if (this.#waiting.length > MAX_ENTRIES) this.#waiting.shift()
    if (this.#isPaused) setText(this.#pause, `Resume (${this.#waiting.length})`)
    else this.#request()
  }

  clear(): void {
    this.#entries = []
    this.#waiting = []
    this.#list.replaceChildren()
    this.#setPaused(false)
  }

  #flush(): void {
    if (this.#isPaused || this.#waiting.length === 0) return
    const fresh: Entry[] = []
    for (const event of this.#waiting) {
      const sentence = describe(event, this.#names)
      if (sentence) fresh.unshift(createEntry(event.at, sentence))
    }
    this.#waiting = []
    this.#list.prepend(...fresh.map(({ element }) => element))
    this.#entries.unshift(...fresh)
    for (const { element } of this.#entries.splice(MAX_ENTRIES)) element.remove()
    const added = fresh.filter((entry) => this.#shows(entry)).reduce((sum, { height }) => sum + height, 0)
    this.#arrange()
    if (this.#scroll.scrollTop > 0) this.#scroll.scrollTop += added
  }

  #narrow(filter: Filter): void {
    this.#filter = filter
    this.#arrange()
    this.#scroll.scrollTop = 0
  }

  /** Hangs every entry that is shown at its height. */
  #arrange(): void {
    let top = 0
    for (const entry of this.#entries) {
      entry.element.hidden = !this.#shows(entry)
      if (entry.element.hidden) continue
      entry.element.style.transform = `translateY(${top}px)`
      top += entry.height
    }
    this.#list.style.height = `${top}px`
  }

  #shows({ topic }: Entry): boolean {
    return this.#filter === 'all' || topic === this.#filter
  }

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.#pause.setAttribute('aria-pressed', String(isPaused))
    setText(this.#pause, isPaused ? 'Resume' : 'Pause')
    if (!isPaused) this.#request()
  }
}

function createEntry(at: number, { topic, tone, text, detail }: Sentence): Entry {
  const element = html('li', `event tone-${tone}`)
  const time = html('time', 'event-time', formatTime(at))
  time.dateTime = new Date(at).toISOString()
  const words = html('p', 'event-text', text)
  words.title = text
  element.append(time, words)
  if (detail) {
    const small = html('p', 'event-detail', detail)
    small.title = detail
    element.append(small)
  }
  return { topic, element, height: detail ? HIGH : LOW }
}
