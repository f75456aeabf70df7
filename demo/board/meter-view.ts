import { byId, setAttribute, setText } from '../dom.ts'
import { formatMs } from '../format.ts'
import type { CallMeter } from './call-meter.ts'

/** Pause between two drawings, in ms. */
const REDRAW_MS = 200
const WIDTH = 200
const HEIGHT = 40
/** The scale never shows less than this, so that a single call is no mountain. */
const LEAST_RATE = 20
const LEAST_MS = 10

/** Draws calls a second and how long they take, while there are any. */
export class MeterView {
  readonly #meter: CallMeter
  readonly #rate = byId('call-rate', HTMLElement)
  readonly #p50 = byId('call-p50', HTMLElement)
  readonly #p95 = byId('call-p95', HTMLElement)
  readonly #rates = byId('call-rates', SVGPathElement)
  readonly #times = byId('call-times', SVGPathElement)
  #timer: number | undefined

  constructor(meter: CallMeter) {
    this.#meter = meter
  }

  /** There may be new calls. */
  update(): void {
    if (this.#timer !== undefined || this.#meter.isQuiet) return
    this.#timer = window.setInterval(() => {
      if (!document.hidden) this.#draw()
      if (!this.#meter.isQuiet) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }, REDRAW_MS)
    this.#draw()
  }

  #draw(): void {
    const { rates, worst, perSecond, p50, p95 } = this.#meter.read()
    setText(this.#rate, perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond)))
    setText(this.#p50, formatMs(p50) || '–')
    setText(this.#p95, formatMs(p95) || '–')
    setAttribute(this.#rates, 'd', steps(rates, Math.max(LEAST_RATE, ...rates)))
    setAttribute(this.#times, 'd', line(worst, Math.max(LEAST_MS, ...worst.map((ms) => ms ?? 0))))
  }
}

/** An area with a step for each slot. */
function steps(values: readonly number[], most: number): string {
  const width = WIDTH / values.length
  const tops = values.map((value, i) => {
    const y = (HEIGHT - (value / most) * (HEIGHT - 2)).toFixed(1)
    return `L${(i * width).toFixed(1)} ${y}H${((i + 1) * width).toFixed(1)}`
  })
  return `M0 ${HEIGHT}${tops.join('')}V${HEIGHT}Z`
}

/** A line from slot to slot; a slot without calls is passed over. */
function line(values: readonly (number | undefined)[], most: number): string {
  const width = WIDTH / values.length
  const points = values.flatMap((value, i) =>
    value === undefined
      ? []
      : [`${((i + 0.5) * width).toFixed(1)} ${(HEIGHT - 1 - (value / most) * (HEIGHT - 3)).toFixed(1)}`],
  )
  return points.length < 2 ? '' : `M${points.join('L')}`
}
