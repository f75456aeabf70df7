import { html, setAttribute, setText } from '../dom.ts'
import { count } from '../format.ts'
import { prefersReducedMotion } from '../frame.ts'
import { clamp, type Point } from '../layout.ts'
import { inkOn, PALETTE } from '../persona.ts'
import { MAX_TEXT } from './kinds.ts'
import type { CardReading, Host } from './kinds.ts'
import { Latest } from './latest.ts'
import { carry } from './rebase.ts'

export interface CardHandlers {
  /** `before`: what the text was made from. */
  write(id: string, text: string, before: string): Promise<void>
  move(id: string, at: Point): Promise<void>
  paint(id: string, color: string): void
  remove(id: string): void
}

/** How a host is to be shown now. */
export interface ShownHost extends Host {
  readonly isSelf: boolean
  /** It is gone, and who hosts the card now is not known yet. */
  readonly isLost: boolean
}

const WRITE_PAUSE_MS = 180
const MOVE_PAUSE_MS = 60
/** One press of an arrow key, as a share of the board; with Shift, more. */
const STEP = 0.02
const LARGE_STEP = 0.1
/** How long a card says where it came from, in ms. */
const SAYS_SO_MS = 9_000

/** One card: shows what was read, and sends what is typed and moved here. What is being changed here is not overwritten. */
export class CardView {
  readonly element = html('li', 'card-place')
  readonly #id: string
  readonly #card = html('article', 'card')
  readonly #handle = html('button', 'card-handle')
  readonly #host = html('span', 'card-host')
  readonly #you = html('span', 'card-you', 'this tab')
  readonly #text = html('textarea', 'card-text')
  readonly #came = html('span', 'card-came')
  readonly #trail = html('span', 'card-trail')
  readonly #edits = html('span', 'card-edits')
  readonly #remove = iconButton('card-remove', 'Delete')
  readonly #handlers: CardHandlers
  readonly #writing: Latest<string>
  readonly #moving: Latest<Point>
  #shown: CardReading | undefined
  /** What is typed here is a change of this: what was shown, or sent, last. */
  #basis = ''
  #at: Point = { x: 0, y: 0 }
  #isDragged = false
  #cameTimer: number | undefined

  constructor(id: string, handlers: CardHandlers) {
    this.#id = id
    this.#handlers = handlers
    this.#writing = new Latest((text) => this.#write(text), WRITE_PAUSE_MS)
    this.#moving = new Latest((at) => handlers.move(id, at), MOVE_PAUSE_MS)
    this.element.dataset['testid'] = 'card'
    this.element.dataset['id'] = id
    this.#build()
    this.#bindMoves()
  }

  /** Shows a reading; tells from which tab to which the card went since the last one, if it did. */
  update(card: CardReading, host: ShownHost, trail: readonly Host[]): { from: Host; to: Host } | undefined {
    const before = this.#shown
    this.#shown = card
    const style = this.#card.style
    style.setProperty('--tint', card.color)
    style.setProperty('--color', host.color)
    style.setProperty('--ink-on-color', inkOn(host.color))
    setAttribute(this.element, 'data-host', host.nodeId)
    setAttribute(this.element, 'data-lost', host.isLost ? '' : undefined)
    setText(this.#host, host.isLost ? 'finding a host…' : host.name)
    this.#you.hidden = host.isLost || !host.isSelf
    if (!this.#writing.isBusy) this.#show(card.text)
    if (!this.#isDragged && !this.#moving.isBusy) this.#place(card)
    setText(this.#edits, card.edits === 0 ? `by ${card.by}` : `${count(card.edits, 'edit')} · ${card.by}`)
    this.#showTrail(trail, card.jumps)
    const label = card.text.split('\n')[0]?.slice(0, 40) || 'without text'
    setAttribute(this.#card, 'aria-label', `Card: ${label}`)
    setAttribute(this.#handle, 'aria-label', `Move “${label}”`)
    setAttribute(this.#remove, 'aria-label', `Delete “${label}”`)
    // a card that was just made had none before
    if (!before?.host.nodeId || before.host.nodeId === card.host.nodeId) return undefined
    this.#jump(before.host)
    return { from: before.host, to: host }
  }

  focus(): void {
    this.#text.focus()
  }

  end(): void {
    this.#writing.stop()
    this.#moving.stop()
    clearTimeout(this.#cameTimer)
    this.element.remove()
  }

  #build(): void {
    this.#handle.type = 'button'
    setAttribute(this.#handle, 'aria-description', 'Drag it, or press the arrow keys')
    this.#handle.append(html('span', 'card-grip'))
    this.#host.dataset['testid'] = 'card-host'
    const head = html('div', 'card-head')
    head.append(this.#host, this.#you, this.#came, this.#handle)

    this.#host.dir = this.#text.dir = 'auto'
    this.#text.maxLength = MAX_TEXT
    this.#text.rows = 3
    this.#text.spellcheck = false
    this.#text.placeholder = 'Write something'
    this.#text.setAttribute('aria-label', 'Text of the card')
    this.#text.addEventListener('input', () => this.#writing.push(this.#text.value))

    const paint = iconButton('card-paint', 'Change the colour')
    paint.addEventListener('click', () => this.#handlers.paint(this.#id, nextColor(this.#shown?.color)))
    this.#remove.addEventListener('click', () => this.#handlers.remove(this.#id))
    const foot = html('div', 'card-foot')
    foot.append(this.#trail, this.#edits, paint, this.#remove)

    this.#card.append(head, this.#text, foot)
    this.element.append(this.#card)
  }

  #bindMoves(): void {
    const handle = this.#handle
    let grabbed: { readonly pointer: Point; readonly card: Point; readonly room: Point } | undefined
    handle.addEventListener('pointerdown', (event) => {
      const board = this.element.parentElement
      if (!board || event.button !== 0) return
      handle.setPointerCapture(event.pointerId)
      grabbed = {
        pointer: { x: event.clientX, y: event.clientY },
        card: this.#at,
        room: {
          x: Math.max(1, board.clientWidth - this.#card.offsetWidth),
          y: Math.max(1, board.clientHeight - this.#card.offsetHeight),
        },
      }
      this.#isDragged = true
      setAttribute(this.element, 'data-dragged', '')
    })
    handle.addEventListener('pointermove', (event) => {
      if (!grabbed) return
      const { pointer, card, room } = grabbed
      this.#moveTo({
        x: card.x + (event.clientX - pointer.x) / room.x,
        y: card.y + (event.clientY - pointer.y) / room.y,
      })
    })
    const drop = (): void => {
      grabbed = undefined
      this.#isDragged = false
      setAttribute(this.element, 'data-dragged', undefined)
    }
    handle.addEventListener('pointerup', drop)
    handle.addEventListener('pointercancel', drop)
    handle.addEventListener('keydown', (event) => {
      const way = WAYS[event.key]
      if (!way) return
      event.preventDefault()
      const step = event.shiftKey ? LARGE_STEP : STEP
      this.#moveTo({ x: this.#at.x + way.x * step, y: this.#at.y + way.y * step })
    })
  }

  /** Whoever types here goes on where they were. */
  #show(text: string): void {
    this.#basis = text
    const { value, selectionStart, selectionEnd } = this.#text
    if (value === text) return
    this.#text.value = text
    if (document.activeElement !== this.#text) return
    this.#text.setSelectionRange(carry(selectionStart, value, text), carry(selectionEnd, value, text))
  }

  async #write(text: string): Promise<void> {
    await this.#handlers.write(this.#id, text, this.#basis)
    this.#basis = text
  }

  #moveTo({ x, y }: Point): void {
    const at = { x: clamp(x, 0, 1), y: clamp(y, 0, 1) }
    this.#place(at)
    this.#moving.push(at)
  }

  #place({ x, y }: Point): void {
    this.#at = { x, y }
    this.element.style.setProperty('--x', String(x))
    this.element.style.setProperty('--y', String(y))
  }

  #showTrail(trail: readonly Host[], jumps: number): void {
    const key = JSON.stringify(trail)
    if (this.#trail.dataset['key'] === key) return
    this.#trail.dataset['key'] = key
    const dots = trail.map(({ color }) => {
      const dot = html('span', 'card-dot')
      dot.style.setProperty('--color', color)
      return dot
    })
    const lived = `Has lived in ${count(jumps + 1, 'tab')}`
    this.#trail.title = `${lived}: ${trail.map(({ name }) => name).join(', ')}`
    this.#trail.replaceChildren(...dots, html('span', 'visually-hidden', lived))
  }

  /** The card is seen to land in its new tab. */
  #jump(from: Host): void {
    setText(this.#came, `from ${from.name}`)
    setAttribute(this.element, 'data-came', '')
    clearTimeout(this.#cameTimer)
    this.#cameTimer = window.setTimeout(() => setAttribute(this.element, 'data-came', undefined), SAYS_SO_MS)
    if (prefersReducedMotion()) return
    this.#card.animate(HOP, { duration: 900, easing: 'cubic-bezier(0.3, 0.7, 0.3, 1)' })
    const ring = html('span', 'card-ring')
    this.#card.append(ring)
    ring
      .animate(
        [
          { opacity: 0.9, transform: 'scale(1)' },
          { opacity: 0, transform: 'scale(1.28, 1.42)' },
        ],
        { duration: 800, delay: 620, easing: 'ease-out', fill: 'backwards' },
      )
      .finished.catch(() => {})
      .finally(() => ring.remove())
  }
}

const HOP: Keyframe[] = [
  { transform: 'none' },
  { transform: 'translateY(6px) scale(1.04, 0.93)', offset: 0.14 },
  { transform: 'translateY(-46px) rotate(-5deg) scale(0.97, 1.04)', offset: 0.45 },
  { transform: 'translateY(0) rotate(0.8deg) scale(1.03, 0.96)', offset: 0.74 },
  { transform: 'translateY(-6px)', offset: 0.88 },
  { transform: 'none' },
]

const WAYS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
}

function nextColor(color: string | undefined): string {
  const at = PALETTE.findIndex((swatch) => swatch.color === color)
  return PALETTE[(at + 1) % PALETTE.length]!.color
}

function iconButton(className: string, label: string): HTMLButtonElement {
  const button = html('button', `card-button ${className}`)
  button.type = 'button'
  button.title = label
  button.setAttribute('aria-label', label)
  return button
}
