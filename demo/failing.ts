import { byId, setAttribute } from './dom.ts'
import { createFrame } from './frame.ts'

/** How long `freeze` blocks the page, in ms; the button says so. */
const FREEZE_MS = 10_000

export interface FailingHandlers {
  /** The page is about to block, and to be told so: the next frame is the last one for a while. */
  onFreeze(): void
  onThaw(): void
}

/**
 * The two ways in which this tab can be made to fail. Make it before anything else listens for the end of the page: who
 * listens first can keep the others from hearing of it.
 */
export class Failing {
  readonly #details = byId('failing', HTMLDetailsElement)
  readonly #handlers: FailingHandlers
  #isStopping = false

  constructor(handlers: FailingHandlers) {
    this.#handlers = handlers
    byId('freeze', HTMLButtonElement).addEventListener('click', () => this.#freeze())
    byId('stop', HTMLButtonElement).addEventListener('click', () => this.#stop())
    addEventListener('pagehide', (event) => this.#swallow(event), { capture: true })
    document.addEventListener('visibilitychange', (event) => this.#swallow(event), { capture: true })
    this.#details.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.#details.open) this.#close()
    })
    addEventListener('pointerdown', ({ target }) => {
      if (!(target instanceof Node && this.#details.contains(target))) this.#details.open = false
    })
  }

  /** Whoever is in no cluster has nobody to fail. */
  show(isIn: boolean): void {
    // Not `hidden`: it keeps its place, so that nothing moves when it comes.
    setAttribute(this.#details, 'data-out', isIn ? undefined : '')
    if (!isIn) this.#details.open = false
  }

  #close(): void {
    this.#details.open = false
    this.#details.querySelector('summary')?.focus()
  }

  #freeze(): void {
    this.#close()
    this.#handlers.onFreeze()
    // A task after the frame: by then what was said is on the screen.
    createFrame(() => setTimeout(() => this.#block()))()
  }

  #block(): void {
    const end = performance.now() + FREEZE_MS
    while (performance.now() < end);
    this.#handlers.onThaw()
  }

  /** Nobody can kill a page from within, but its last words can be kept from being said. */
  #stop(): void {
    this.#isStopping = true
    history.replaceState({ [STOPPED]: true }, '')
    location.reload()
  }

  #swallow(event: Event): void {
    if (this.#isStopping) event.stopImmediatePropagation()
  }
}

const STOPPED = 'grainmeshStopped'

/** Whether this page was loaded by `Stop without goodbye`; `true` once, so that a reload by hand joins. */
export function takeStopped(): boolean {
  const state: unknown = history.state
  if (typeof state !== 'object' || state === null || !(STOPPED in state)) return false
  history.replaceState(null, '')
  return true
}
