import { madeUpName, pick } from './words.ts'

/** How a tab presents itself to the others: published as the member's `meta`. */
export interface Persona {
  readonly name: string
  /** `#rrggbb`, lower case. */
  readonly color: string
}

export interface Swatch {
  readonly color: string
  readonly label: string
}

/** Colours of even weight that stand out on paper and on night alike. */
export const PALETTE: readonly Swatch[] = [
  { color: '#e5484d', label: 'Red' },
  { color: '#f0702a', label: 'Orange' },
  { color: '#dfa02f', label: 'Amber' },
  { color: '#83ad2c', label: 'Lime' },
  { color: '#30a46c', label: 'Green' },
  { color: '#14a394', label: 'Teal' },
  { color: '#1d9fd0', label: 'Sky' },
  { color: '#4f78f5', label: 'Blue' },
  { color: '#8f5bd0', label: 'Violet' },
  { color: '#d6499b', label: 'Pink' },
]

const STORAGE_KEY = 'grainmesh-demo.persona'
const MAX_NAME = 24
/** One character can be made of many. */
const MAX_LENGTH = 120
const COLOR = /^#[0-9a-f]{6}$/
/** Controls, direction marks, line ends, and what has no shape; but not the joiners, which emoji and some scripts need. */
const UNSEEN =
  /[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\u{e0001}-\u{e007f}]/gu

/** The persona of this tab: kept for the tab's lifetime, made up at its first load; `isNew` tells which. */
export function loadPersona(): { persona: Persona; isNew: boolean } {
  const kept = readPersona(parse(read()))
  const persona = { name: kept.name ?? madeUpName(), color: kept.color ?? pick(PALETTE).color }
  savePersona(persona)
  return { persona, isNew: kept.color === undefined }
}

/** `color` where nobody else wears it, else one that the fewest wear. */
export function rarestColor(color: string, others: readonly Persona[]): string {
  const wearers = (of: string): number => others.filter((other) => other.color === of).length
  const fewest = Math.min(...PALETTE.map((swatch) => wearers(swatch.color)))
  if (wearers(color) === fewest) return color
  return pick(PALETTE.filter((swatch) => wearers(swatch.color) === fewest)).color
}

export function savePersona(persona: Persona): void {
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(persona))
  } catch {
    // Storage can be denied; the persona then lasts as long as the page.
  }
}

/**
 * The persona of a member. `meta` is whatever another tab sent: nothing is taken from it unchecked, and what is
 * missing is made from the authority, the same in every tab.
 */
export function personaOf(member: { readonly authority: string; readonly meta: unknown }): Persona {
  const given = readPersona(member.meta)
  return {
    name: given.name ?? member.authority.slice(0, 6),
    color: given.color ?? PALETTE[hash(member.authority) % PALETTE.length]!.color,
  }
}

/** One line of at most 24 characters, without controls, direction marks or towers of accents; may be empty. */
export function plainName(text: string): string {
  const line = text
    .slice(0, 400)
    .normalize('NFC')
    .replaceAll(UNSEEN, '')
    .replaceAll(/(\p{M}{2})\p{M}+/gu, '$1')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return characters(line).slice(0, MAX_NAME).join('').slice(0, MAX_LENGTH).trim()
}

/** As people count them: a family of emoji is one, and so is a letter with its accents. */
export function characters(text: string): string[] {
  // Firefox has it since 125
  if (!('Segmenter' in Intl)) return [...text]
  return Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment)
}

/** FNV-1a, 32 bits. */
export function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}

/** Black or white, whichever reads better on `color` (WCAG relative luminance). */
export function inkOn(color: string): string {
  const channel = (at: number): number => {
    const value = Number.parseInt(color.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }
  const luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
  return luminance > 0.179 ? '#0b0d0f' : '#ffffff'
}

function readPersona(meta: unknown): { name?: string; color?: string } {
  if (typeof meta !== 'object' || meta === null) return {}
  const { name, color } = meta as { name?: unknown; color?: unknown }
  const plain = typeof name === 'string' ? plainName(name) : ''
  const lower = typeof color === 'string' ? color.toLowerCase() : ''
  return { ...(plain ? { name: plain } : {}), ...(COLOR.test(lower) ? { color: lower } : {}) }
}

function read(): string | null {
  try {
    return sessionStorage.getItem(STORAGE_KEY)
  } catch {
    return null
  }
}

function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null')
  } catch {
    return null
  }
}
