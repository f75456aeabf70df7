/** What the tests of the documents read of them. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from '../../scripts/support/paths.mjs'

export interface Document {
  /** From the project's root, with forward slashes. */
  readonly file: string
  readonly text: string
}

/** Every document of the project: at its top, and in docs/. */
export function documents(): Document[] {
  const inDocs = readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  return [...readdirSync(root), ...inDocs.map((file) => `docs/${file.replaceAll(path.sep, '/')}`)]
    .filter((file) => file.endsWith('.md'))
    .map((file) => ({ file, text: read(file) }))
}

export const read = (file: string): string => readFileSync(path.join(root, file), 'utf8')

/** Targets of links, images and picture sources. */
export function linksOf({ text }: Document): string[] {
  const prose = withoutCode(text)
  return [
    ...[...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!),
    ...[...prose.matchAll(/\s(?:src|srcset|href)="([^"]+)"/g)].map(([, target]) => target!),
  ]
}

/** Anchors of headings, as GitHub makes them. */
export function anchorsOf({ text }: Document): string[] {
  return [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** Fenced blocks of one language. */
export function blocksOf({ text }: Document, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm')
  return [...text.matchAll(fence)].map(([, code]) => code!)
}

/** What stands between backticks in running text. */
export function codeSpansOf({ text }: Document): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, '')
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!)
}

/** Rows of the table whose first heading cell is `heading`, as cells without backticks. */
export function tableOf({ file, text }: Document, heading: string): string[][] {
  const lines = text.split('\n')
  const start = lines.findIndex((line, i) => cells(line)[0] === heading && lines[i + 1]?.startsWith('| -'))
  if (start < 0) throw new Error(`${file} has no table that begins with "${heading}"`)
  const rows = lines.slice(start + 2)
  const end = rows.findIndex((line) => !line.startsWith('|'))
  return rows.slice(0, end < 0 ? undefined : end).map(cells)
}

function cells(line: string): string[] {
  if (!line.startsWith('|')) return []
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''))
}

const withoutCode = (text: string): string =>
  text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]+`/g, '')
