import { defineGrain } from '../../src/index.ts'
import { rebase } from './rebase.ts'

/** A tab as a card remembers it: it may be gone when its name is read. */
export interface Host {
  readonly nodeId: string
  readonly name: string
  readonly color: string
}

/** What is written on a card, and where it lies: (0, 0) is the upper left corner of the board, (1, 1) the lower right. */
export interface Draft {
  readonly text: string
  readonly color: string
  readonly x: number
  readonly y: number
}

export interface CardState extends Draft {
  readonly edits: number
  /** Who has changed its text last. */
  readonly by: string
  /** The tabs that it has lived in, the newest last, at most `MAX_TRAIL`. */
  readonly trail: readonly Host[]
  /** How often it went from one tab to another. */
  readonly jumps: number
}

/** A card, and the tab that has said so: the one that hosts it. */
export interface CardReading extends CardState {
  readonly host: Host
}

export interface BoardReading {
  /** Keys of the cards, in the order in which they were added. */
  readonly ids: readonly string[]
  readonly host: Host
}

export const MAX_CARDS = 24
export const MAX_TEXT = 240
export const MAX_TRAIL = 6
/** The key of the only board. */
export const BOARD_KEY = 'main'

const COLOR = /^#[0-9a-f]{6}$/

export type BoardKinds = ReturnType<typeof boardKinds>

/**
 * The two kinds of the board: `card`, one grain for each card, and `board`, which knows what cards there are. Their code
 * runs in the tab that hosts the grain, so the tab that `host` names there is the host.
 */
export function boardKinds(host: () => Host) {
  const Card = defineGrain('card', (self) => {
    const card = self.state<CardState | null>(null)
    const answer = (): CardReading | null => card.value && { ...card.value, host: host() }
    const change = (changed: Partial<CardState>): CardReading | null => {
      if (card.value) card.value = { ...card.value, ...changed }
      return answer()
    }
    // a reload of the page is another life, and so another host
    self.onActivate(() => {
      const here = host()
      if (!card.value || card.value.trail.at(-1)?.nodeId === here.nodeId) return
      change({ trail: [...card.value.trail, here].slice(-MAX_TRAIL), jumps: card.value.jumps + 1 })
    })
    return {
      read: answer,
      create(draft: Draft, by: string): void {
        card.value = { ...plainDraft(draft), by: plainText(by), edits: 0, jumps: 0, trail: [host()] }
      },
      /** `before`: what the text was made from, since others may have written on the card meanwhile. */
      write(text: string, by: string, before: string) {
        const now = card.value?.text ?? ''
        const rebased = rebase(plainText(before), plainText(text), now)
        return change({ text: plainText(rebased), by: plainText(by), edits: (card.value?.edits ?? 0) + 1 })
      },
      paint: (color: string) => change({ color: plainColor(color) }),
      move: (x: number, y: number) => change({ x: share(x), y: share(y) }),
      erase: () => self.clear(),
    }
  })

  const Board = defineGrain('board', (self) => {
    const board = self.state<{ ids: readonly string[]; isOpened: boolean }>({ ids: [], isOpened: false })
    const answer = (): BoardReading => ({ ids: board.value.ids, host: host() })
    const put = async (id: string, draft: Draft, by: string): Promise<void> => {
      const { ids } = board.value
      if (ids.includes(id)) return
      if (ids.length >= MAX_CARDS) throw new Error(`The board is full: it has room for ${MAX_CARDS} cards.`)
      await self.grain(Card, id).create(draft, by)
      board.value = { ...board.value, ids: [...ids, id] }
    }
    return {
      list: answer,
      /** Lays out the first cards where nobody has done so yet. */
      async open(first: readonly (Draft & { readonly id: string })[], by: string): Promise<BoardReading> {
        if (board.value.isOpened) return answer()
        for (const { id, ...draft } of first) await put(id, draft, by)
        board.value = { ...board.value, isOpened: true }
        return answer()
      },
      async add(id: string, draft: Draft, by: string): Promise<BoardReading> {
        await put(id, draft, by)
        return answer()
      },
      async remove(id: string): Promise<BoardReading> {
        await self.grain(Card, id).erase()
        board.value = { ...board.value, ids: board.value.ids.filter((other) => other !== id) }
        return answer()
      },
    }
  })

  return { Card, Board }
}

/** A card that came from another tab, made safe to show; `undefined` where there is none. */
export function readCard(value: unknown): CardReading | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { by, edits, jumps, trail, host } = value as Record<string, unknown>
  return {
    ...plainDraft(value),
    by: plainText(by),
    edits: count(edits),
    jumps: count(jumps),
    trail: Array.isArray(trail) ? trail.slice(-MAX_TRAIL).map(readHost) : [],
    host: readHost(host),
  }
}

export function readHost(value: unknown): Host {
  const { nodeId, name, color } = (value ?? {}) as Record<string, unknown>
  return {
    nodeId: typeof nodeId === 'string' ? nodeId : '',
    name: plainText(name).slice(0, 24),
    color: plainColor(color),
  }
}

function plainDraft(value: unknown): Draft {
  const { text, color, x, y } = value as Record<string, unknown>
  return { text: plainText(text), color: plainColor(color), x: share(x), y: share(y) }
}

const plainText = (value: unknown): string => (typeof value === 'string' ? value.slice(0, MAX_TEXT) : '')

const plainColor = (value: unknown): string =>
  typeof value === 'string' && COLOR.test(value) ? value : '#868f88'

const share = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value)
    ? Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4
    : 0

const count = (value: unknown): number => (Number.isSafeInteger(value) ? Math.max(0, value as number) : 0)
