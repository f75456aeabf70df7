import type { Member } from '../src/index.ts'
import { html, setAttribute, setText } from './dom.ts'
import { formatMs, shortNodeId } from './format.ts'
import { personaOf } from './persona.ts'

interface Row {
  readonly element: HTMLTableRowElement
  readonly swatch: HTMLSpanElement
  readonly name: HTMLSpanElement
  readonly you: HTMLSpanElement
  readonly status: HTMLSpanElement
  readonly generation: HTMLTableCellElement
  readonly path: HTMLTableCellElement
  readonly rtt: HTMLTableCellElement
  member: Member | undefined
}

/**
 * The members as a table. A row belongs to one nodeId from its first to its last showing; this tab is on top, the
 * others stay in the order in which they were first seen, so that a newcomer moves no row.
 */
export class MemberTable {
  readonly #body: HTMLTableSectionElement
  readonly #rows = new Map<string, Row>()

  /** `onPoint` tells which member the pointer rests on, `undefined` for none. */
  constructor(body: HTMLTableSectionElement, onPoint: (nodeId: string | undefined) => void) {
    this.#body = body
    body.addEventListener('pointerover', (event) => {
      const row = event.target instanceof Element ? event.target.closest('tr') : null
      onPoint(row?.dataset['nodeId'])
    })
    body.addEventListener('pointerleave', () => onPoint(undefined))
  }

  update(members: readonly Member[]): void {
    const present = new Set(members.map(({ nodeId }) => nodeId))
    for (const [nodeId, row] of this.#rows) {
      if (present.has(nodeId)) continue
      row.element.remove()
      this.#rows.delete(nodeId)
    }
    for (const member of members) {
      const row = this.#rows.get(member.nodeId) ?? this.#enter(member)
      // Members are frozen and keep their reference while nothing changed.
      if (row.member === member) continue
      row.member = member
      paint(row, member)
    }
  }

  #enter(member: Member): Row {
    const row = createRow(member)
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
  const you = html('span', 'you-badge', 'you')
  const label = html('div', 'member')
  label.append(swatch, name, you)
  head.append(label)
  const statusCell = html('td')
  const status = html('span', 'member-status')
  statusCell.append(status)
  const generation = html('td', 'figure')
  const path = html('td')
  const rtt = html('td', 'figure')
  const node = html('td', 'code', shortNodeId(nodeId))
  node.title = nodeId
  element.append(head, statusCell, generation, path, rtt, node)
  return { element, swatch, name, you, status, generation, path, rtt, member: undefined }
}

function paint(row: Row, member: Member): void {
  const persona = personaOf(member)
  row.element.dataset['status'] = member.status
  row.element.classList.toggle('is-self', member.self)
  row.you.hidden = !member.self
  row.swatch.style.setProperty('--color', persona.color)
  setText(row.name, persona.name)
  setAttribute(row.name, 'title', persona.name)
  setText(row.status, member.status)
  setAttribute(row.status, 'title', VISIBILITY[member.visibility])
  setText(row.generation, String(member.generation))
  setText(row.path, member.self ? '–' : member.path)
  setText(row.rtt, member.self ? '–' : formatMs(member.rttMs) || '–')
}

const VISIBILITY: Readonly<Record<Member['visibility'], string>> = {
  visible: 'Its tab is in the foreground',
  hidden: 'Its tab is in the background',
  'frozen-soon': 'The browser is about to freeze its tab',
}
