import type { Convergence } from '../src/index.ts'
import { byId, setAttribute, setText, svg } from './dom.ts'
import { formatMs, shortHash } from './format.ts'

const TEXT: Readonly<Record<Convergence['state'], string>> = {
  diffusing: 'A change is on its way from tab to tab.',
  reconciling: 'Members differ, and are repairing it.',
  confirmed: 'Every live member has held exactly this list.',
}

/** A change that arrives with the news that everyone else has it already took no time here. */
const took = (durationMs: number): string => (durationMs < 0.05 ? 'at once' : formatMs(durationMs))

/** Digits of a view hash; each is one bar, so that two tabs can be compared at a glance. */
const DIGITS = 16

/** Shows how far the newest view of the membership has spread. */
export class ConvergencePanel {
  readonly #steps = byId('steps', HTMLOListElement)
  readonly #state = byId('gossip-state', HTMLElement)
  readonly #hash = byId('view-hash', HTMLElement)
  readonly #took = byId('took', HTMLElement)
  readonly #text = byId('convergence-text', HTMLElement)
  readonly #bars = Array.from({ length: DIGITS }, (_, i) =>
    svg('rect', { x: i * 6, y: 26, width: 4, height: 2 }),
  )
  #shown: Convergence | undefined

  constructor() {
    byId('hash-bars', SVGSVGElement).append(...this.#bars)
  }

  /** `undefined`: this page is in no cluster. */
  update(convergence: Convergence | undefined): void {
    if (convergence === this.#shown && convergence !== undefined) return
    this.#shown = convergence
    setAttribute(this.#steps, 'data-state', convergence?.state ?? 'none')
    for (const step of this.#steps.children) {
      const isCurrent = step.getAttribute('data-step') === convergence?.state
      setAttribute(step, 'aria-current', isCurrent ? 'step' : undefined)
    }
    setText(this.#state, convergence?.state ?? 'none')
    setText(this.#text, convergence ? TEXT[convergence.state] : 'Join the room to see how news travels.')
    this.#showHash(convergence?.viewHash ?? '')
    // While a change spreads the figure of the last one stays: an empty place would say less.
    if (convergence?.durationMs !== undefined) setText(this.#took, took(convergence.durationMs))
    else if (!convergence) setText(this.#took, '–')
  }

  #showHash(viewHash: string): void {
    setText(this.#hash, viewHash ? shortHash(viewHash) : '···· ····')
    setAttribute(this.#hash, 'title', viewHash || undefined)
    setAttribute(this.#hash, 'data-view-hash', viewHash)
    for (const [i, bar] of this.#bars.entries()) {
      const digit = Number.parseInt(viewHash[i] ?? '0', 16)
      const height = 3 + (Number.isNaN(digit) ? 0 : digit) * 1.6
      bar.style.transform = `scaleY(${height / 2})`
      bar.style.setProperty('--digit', String(digit))
    }
  }
}
