import type { Member } from '../src/index.ts'
import { html, setAttribute, setText } from './dom.ts'
import { formatMs, shortNodeId } from './format.ts'
import { prefersReducedMotion } from './frame.ts'
import { personaOf } from './persona.ts'

interface Row {
  readonly element: HTMLTableRowElement
  readonly swatch: HTMLSpanElement
  readonly button: HTMLButtonElement
  readonly name: HTMLSpanElement
  readonly you: HTMLSpanElement
  readonly status: HTMLSpanElement
  readonly generation: HTMLTableCellElement
  readonly path: HTMLTableCellElement
  readonly rtt: HTMLTableCellElement
  member: Member | undefined
}

export interface MemberTableHandlers {
  /** The member that the pointer rests on, `undefined` for none. */
  onPoint(nodeId: string | undefined): void
  onPress(nodeId: string): void
}

/** How long the row of a removed member fades, in ms; the same as in members.css. */
const FADE_MS = 900

/**
 * The members as a table. A row belongs to one nodeId from its first to its last showing; this tab is on top, the
 * others stay in the order in which they were first seen, so that a newcomer moves no row. The row of a removed member
 * fades, unless a newer life of it is there.
 */
export class MemberTable {
  readonly #body: HTMLTableSectionElement
  readonly #rows = new Map<string, Row>()
  readonly #handlers: MemberTableHandlers
  #chosen: string | undefined
  #isArriving = false

  constructor(body: HTMLTableSectionElement, handlers: MemberTableHandlers) {
    this.#body = body
    this.#handlers = handlers
    const { onPoint } = handlers
    body.addEventListener('pointerover', (event) => {
      const row = event.target instanceof Element ? event.target.closest('tr') : null
      onPoint(row?.dataset['nodeId'])
    })
    body.addEventListener('pointerleave', () => onPoint(undefined))
  }

  /** While this tab arrives, unreachable members are remembered ones: nobody has looked for them yet. */
  update(members: readonly Member[], isArriving: boolean): void {
    const present = new Set(members.map(({ nodeId }) => nodeId))
    const authorities = new Set(members.map(({ authority }) => authority))
    const isSame = isArriving === this.#isArriving
    this.#isArriving = isArriving
    for (const [nodeId, row] of this.#rows) {
      if (present.has(nodeId)) continue
      this.#rows.delete(nodeId)
      // Without members this page is out itself.
      const isFading = members.length > 0 && row.member && !authorities.has(row.member.authority)
      if (isFading && !document.hidden && !prefersReducedMotion()) fade(row)
      else row.element.remove()
    }
    for (const member of members) {
      const row = this.#rows.get(member.nodeId) ?? this.#enter(member)
      // Members are frozen and keep their reference while nothing changed.
      if (row.member === member && isSame) continue
      row.member = member
      paint(row, member, isArriving)
    }
  }

  /** Shows which member was chosen, `undefined` for none. */
  choose(nodeId: string | undefined): void {
    this.#chosen = nodeId
    for (const [id, row] of this.#rows) press(row, id === nodeId)
  }

  #enter(member: Member): Row {
    const row = createRow(member)
    row.button.addEventListener('click', () => this.#handlers.onPress(member.nodeId))
    press(row, member.nodeId === this.#chosen)
    this.#rows.set(member.nodeId, row)
    if (member.self) this.#body.prepend(row.element)
    else this.#body.append(row.element)
    return row
  }
}

function createRow({ nodeId }: Member): Row {
  const element = html('tr')
  element.dataset['testid'] = 'member-row'
  element.dataset['nodeId'] = nodeId
  const head = html('th')
  head.scope = 'row'
  const swatch = html('span', 'swatch')
  const name = html('span', 'member-name')
  name.dir = 'auto'
  const you = html('span', 'you-badge', 'you')
  const button = html('button', 'member')
  button.type = 'button'
  button.append(swatch, name, you)
  head.append(button)
  const statusCell = html('td')
  const status = html('span', 'member-status')
  statusCell.append(status)
  const generation = html('td', 'figure')
  const path = html('td')
  const rtt = html('td', 'figure')
  const node = html('td', 'code', shortNodeId(nodeId))
  node.title = nodeId
  element.append(head, statusCell, generation, path, rtt, node)
  return { element, swatch, button, name, you, status, generation, path, rtt, member: undefined }
}

function paint(row: Row, member: Member, isArriving: boolean): void {
  const persona = personaOf(member)
  row.element.dataset['status'] = member.status
  const isRemembered = isArriving && member.status === 'unreachable'
  row.element.toggleAttribute('data-suspected', member.suspected)
  row.element.toggleAttribute('data-remembered', isRemembered)
  row.element.classList.toggle('is-self', member.self)
  row.you.hidden = !member.self
  // There is no way to oneself.
  row.button.disabled = member.self
  row.swatch.style.setProperty('--color', persona.color)
  setText(row.name, persona.name)
  setAttribute(row.name, 'title', persona.name)
  setText(row.status, isRemembered ? 'remembered' : member.suspected ? 'suspected' : member.status)
  setAttribute(
    row.status,
    'title',
    isRemembered
      ? 'Here last time; whether it still is will be known in a moment'
      : member.suspected
        ? 'It has not answered for a moment and has a few seconds to say that it lives'
        : VISIBILITY[member.visibility],
  )
  setText(row.generation, String(member.generation))
  // The last figures of a member that answers no more would say that it does.
  const isLost = member.self || member.status === 'unreachable'
  setText(row.path, isLost ? '–' : member.path)
  row.element.dataset['path'] = member.path
  setAttribute(row.path, 'title', PATHS[member.path])
  setText(row.rtt, isLost ? '–' : formatMs(member.rttMs) || '–')
}

/** Lets a row go softly; it counts as a member's no more. */
function fade({ element, status, member }: Row): void {
  setText(status, member?.status === 'unreachable' ? 'removed' : 'left')
  delete element.dataset['testid']
  delete element.dataset['nodeId']
  element.dataset['status'] = 'removed'
  element.removeAttribute('data-suspected')
  element.setAttribute('aria-hidden', 'true')
  setTimeout(() => element.remove(), FADE_MS)
}

function press({ element, button }: Row, isPressed: boolean): void {
  element.toggleAttribute('data-chosen', isPressed)
  button.setAttribute('aria-pressed', String(isPressed))
}

const PATHS: Readonly<Record<Member['path'], string>> = {
  self: 'It is this tab',
  direct: 'Over a link of this tab',
  routed: 'Other members pass it on',
  relayed: 'Encrypted through the signaling server, for want of a direct link',
  none: 'There is no way to it now',
}

const VISIBILITY: Readonly<Record<Member['visibility'], string>> = {
  visible: 'Its tab is in the foreground',
  hidden: 'Its tab is in the background',
  'frozen-soon': 'The browser is about to freeze its tab',
}
