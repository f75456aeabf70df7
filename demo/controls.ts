import { byId, html, setAttribute, setText } from './dom.ts'
import { PALETTE, plainName, savePersona, type Persona } from './persona.ts'
import { goToRoom, roomUrl } from './room.ts'
import type { Phase } from './session.ts'

export interface ControlHandlers {
  leave(): void
  rejoin(): void
  present(persona: Persona): void
}

const THEME_KEY = 'grainmesh-demo.theme'
/** A name is published this long after the last key, in ms. */
const NAME_PAUSE_MS = 350
const COPIED_FOR_MS = 1_600

/** Everything that can be pressed or typed into, apart from the event log's own switches. */
export class Controls {
  readonly #room = byId('room', HTMLInputElement)
  readonly #openTab = byId('open-tab', HTMLAnchorElement)
  readonly #leave = byId('leave', HTMLButtonElement)
  readonly #rejoin = byId('rejoin', HTMLButtonElement)
  readonly #handlers: ControlHandlers
  #persona: Persona

  constructor(persona: Persona, handlers: ControlHandlers) {
    this.#persona = persona
    this.#handlers = handlers
    this.#leave.addEventListener('click', () => handlers.leave())
    this.#rejoin.addEventListener('click', () => handlers.rejoin())
    byId('retry', HTMLButtonElement).addEventListener('click', () => handlers.rejoin())
    this.#bindRoom()
    this.#bindName()
    this.#bindSwatches()
    bindTheme()
  }

  /** The room changed. */
  showRoom(room: string): void {
    this.#room.value = room
    this.#openTab.href = roomUrl(room)
  }

  showPhase(phase: Phase): void {
    const isOut = phase === 'left' || phase === 'failed' || phase === 'stopped'
    const hadFocus = document.activeElement === (isOut ? this.#leave : this.#rejoin)
    this.#leave.hidden = isOut
    // After a failure the panel over the graph has the button.
    this.#rejoin.hidden = phase !== 'left' && phase !== 'stopped'
    // Not `disabled`: that would drop the focus of whoever just pressed it.
    setAttribute(this.#leave, 'aria-disabled', phase === 'leaving' ? 'true' : undefined)
    if (hadFocus) (isOut ? this.#rejoin : this.#leave).focus()
  }

  /** The page itself gives this tab another colour. */
  wear(color: string): void {
    for (const input of byId('swatches', HTMLFieldSetElement).querySelectorAll('input'))
      input.checked = input.value === color
    this.#present({ ...this.#persona, color })
  }

  #bindRoom(): void {
    const move = (): void => {
      if (!goToRoom(this.#room.value))
        this.showRoom(new URLSearchParams(location.hash.slice(1)).get('room') ?? '')
    }
    byId('room-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      move()
    })
    this.#room.addEventListener('change', move)
    const label = byId('copy-label', HTMLElement)
    byId('copy-link', HTMLButtonElement).addEventListener('click', () => {
      const say = (text: string): void => {
        setText(label, text)
        setTimeout(() => setText(label, 'Copy link'), COPIED_FOR_MS)
      }
      copy(location.href).then(
        () => say('Copied'),
        () => say('Press Ctrl+C'),
      )
    })
  }

  #bindName(): void {
    const input = byId('name', HTMLInputElement)
    let timer: number | undefined
    const present = (): void => {
      clearTimeout(timer)
      const name = plainName(input.value)
      if (name && name !== this.#persona.name) this.#present({ ...this.#persona, name })
    }
    input.value = this.#persona.name
    input.addEventListener('input', () => {
      clearTimeout(timer)
      timer = window.setTimeout(present, NAME_PAUSE_MS)
    })
    input.addEventListener('change', () => {
      present()
      input.value = this.#persona.name
    })
  }

  #bindSwatches(): void {
    const fieldset = byId('swatches', HTMLFieldSetElement)
    for (const { color, label } of PALETTE) {
      const choice = html('label', 'swatch-choice')
      choice.style.setProperty('--color', color)
      const input = html('input')
      input.type = 'radio'
      input.name = 'color'
      input.value = color
      input.checked = color === this.#persona.color
      input.setAttribute('aria-label', label)
      choice.append(input)
      fieldset.append(choice)
    }
    fieldset.addEventListener('change', (event) => {
      if (event.target instanceof HTMLInputElement)
        this.#present({ ...this.#persona, color: event.target.value })
    })
  }

  /** Takes on a persona, shows it and tells about it. */
  #present(persona: Persona): void {
    this.#persona = persona
    savePersona(persona)
    this.#handlers.present(persona)
  }
}

/** One button between light and dark; until it is pressed the system decides. */
function bindTheme(): void {
  const button = byId('theme', HTMLButtonElement)
  const system = matchMedia('(prefers-color-scheme: dark)')
  const isDark = (): boolean =>
    (document.documentElement.dataset['theme'] ?? (system.matches ? 'dark' : 'light')) === 'dark'
  const show = (): void => button.setAttribute('aria-pressed', String(isDark()))
  button.addEventListener('click', () => {
    const theme = isDark() ? 'light' : 'dark'
    document.documentElement.dataset['theme'] = theme
    try {
      localStorage.setItem(THEME_KEY, theme)
    } catch {
      // Storage can be denied; the choice then lasts as long as the page.
    }
    show()
  })
  system.addEventListener('change', show)
  show()
}

/** Over plain http there is no clipboard: the address is then selected in the address bar's stead. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  throw new Error('This page may not write to the clipboard')
}
