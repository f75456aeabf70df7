/** What the documents say, held against the code, as far as a machine can tell. */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { bundleForNode } from '../../scripts/bundle.mjs'
import { cacheFolder, root } from '../../scripts/support/paths.mjs'
import { runNode } from '../../scripts/support/processes.mjs'
import {
  DEFAULT_JOIN_TIMEOUT_MS,
  DEFAULT_LIMITS,
  DEFAULT_MAX_LINKS,
  DEFAULT_TUNING,
} from '../../src/options.ts'
import { anchorsOf, blocksOf, codeSpansOf, documents, linksOf, read, tableOf } from './markdown.ts'
import type { Document } from './markdown.ts'

const all = documents()
const readme = find('README.md')
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }

describe.each(all)('$file', (document) => {
  it('links to what exists', () => {
    expect(linksOf(document).filter((link) => !leadsSomewhere(document, link))).toEqual([])
  })

  it('names commands that exist', () => {
    const { text } = document
    const runs = [...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name]) => name!)
    expect(runs.filter((name) => !Object.hasOwn(scripts, name))).toEqual([])
    const benches = [...text.matchAll(/\bnpm run bench -- (\w+)/g)].map(([, name]) => `bench/${name!}.ts`)
    const programs = [...text.matchAll(/\b(?:node|playwright test|vitest run) (\w+\/[\w/.-]+)/g)]
    const files = [...benches, ...programs.map(([, file]) => file!)]
    expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([])
  })

  it('names files that exist', () => {
    const paths = codeSpansOf(document).filter((span) =>
      /^(?:src|test|scripts|signaling-server|demo|e2e|bench|docs)\/[\w./-]*$/.test(span),
    )
    expect(paths.filter((file) => !existsSync(path.join(root, file)))).toEqual([])
  })
})

describe('README.md', () => {
  it('lists every option with its default', () => {
    const rows = tableOf(readme, 'option')
    const options = /interface ClusterOptions \{([\s\S]*?)\n\}/.exec(read('src/options.ts'))![1]!
    const names = [...options.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name)
    expect(rows.map(([name]) => name)).toEqual(names)
    const defaults = new Map(rows.map(([name, value]) => [name, value]))
    expect(defaults.get('maxLinks')).toBe(String(DEFAULT_MAX_LINKS))
    expect(defaults.get('joinTimeoutMs')).toBe(number(DEFAULT_JOIN_TIMEOUT_MS))
  })

  it.each([
    ['tuning', DEFAULT_TUNING],
    ['limits', DEFAULT_LIMITS],
  ])('lists all of %s with its defaults', (heading, defaults) => {
    const rows = tableOf(readme, heading).map(([name, value]) => [name, value])
    expect(rows).toEqual(Object.entries(defaults).map(([name, value]) => [name, number(Number(value))]))
  })

  it('lists every error', () => {
    const codes = [...read('src/errors.ts').matchAll(/^ {2}\| '([\w-]+)'$/gm)].map(([, code]) => code)
    expect(codes.length).toBeGreaterThan(5)
    expect(tableOf(readme, 'code').map(([code]) => code)).toEqual(codes)
  })
})

describe('code in README.md', () => {
  const blocks = blocksOf(readme, 'ts')
  const folder = path.join(cacheFolder, 'readme')

  it('compiles as a reader would paste it', async () => {
    expect(blocks).toHaveLength(6)
    await mkdir(folder, { recursive: true })
    const files = blocks.map((_, i) => `block-${i}.ts`)
    await Promise.all(blocks.map((code, i) => writeFile(path.join(folder, files[i]!), code)))
    const config = {
      extends: path.join(root, 'tsconfig.base.json'),
      compilerOptions: {
        lib: ['ES2023', 'DOM', 'DOM.Iterable'],
        types: ['node'],
        typeRoots: [path.join(root, 'node_modules/@types')],
        paths: {
          grainmesh: [path.join(root, 'src/index.ts')],
          'grainmesh/node': [path.join(root, 'src/node.ts')],
          'grainmesh/testing': [path.join(root, 'src/testing/index.ts')],
          'grainmesh/signaling-server': [path.join(root, 'signaling-server/index.ts')],
        },
      },
      files,
    }
    await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify(config))
    const { code, output } = await runNode(
      path.join(root, 'node_modules/typescript/bin/tsc'),
      ['-p', path.join(folder, 'tsconfig.json')],
      { quiet: true },
    )
    expect(code, output).toBe(0)
  })

  it('prints in Node what it says it prints', async () => {
    const code = blocks.find((block) => block.includes('grainmesh/testing'))!
    const said = [...code.matchAll(/console\.log\(.*\) \/\/ (.+)$/gm)].map(([, text]) => text)
    const pasted = code
      .replace(`'grainmesh'`, JSON.stringify(path.join(root, 'src/index.ts')))
      .replace(`'grainmesh/testing'`, JSON.stringify(path.join(root, 'src/testing/index.ts')))
    await mkdir(folder, { recursive: true })
    const entry = path.join(folder, 'in-node.ts')
    await writeFile(entry, pasted)
    const result = await runNode(await bundleForNode(entry), [], { quiet: true })
    expect(result.code, result.output).toBe(0)
    expect(said).not.toEqual([])
    expect(result.output.trim().split('\n')).toEqual(said)
  })
})

describe('docs/events.md', () => {
  const document = find('docs/events.md')

  it('lists every event', () => {
    const types = read('src/core/events.ts').split('export type ClusterEvent')[1]!
    const events = [...types.matchAll(/readonly type: '([\w-]+)'/g)].map(([, type]) => type!)
    expect(events.length).toBeGreaterThan(20)
    expect(
      tableOf(document, 'event')
        .map(([type]) => type!)
        .sort(),
    ).toEqual([...new Set(events)].sort())
  })
})

describe('ARCHITECTURE.md', () => {
  it.each(['tab', 'at'])('walks through functions that are where it says: %s', (heading) => {
    const steps = tableOf(find('ARCHITECTURE.md'), heading)
    expect(steps.length).toBeGreaterThan(20)
    const lost = steps.filter(([, file, name]) => !declares(read(file!), name!))
    expect(lost).toEqual([])
  })
})

function find(file: string): Document {
  return all.find((document) => document.file === file)!
}

function leadsSomewhere({ file }: Document, link: string): boolean {
  if (/^https?:\/\//.test(link)) return true
  const [target, anchor] = link.split('#')
  const goal = target === '' ? file : path.posix.join(path.posix.dirname(file), target!)
  if (!existsSync(path.join(root, goal))) return false
  if (anchor === undefined) return true
  return all.some((document) => document.file === goal && anchorsOf(document).includes(anchor))
}

/** Whether a method, function or constant of this name is declared: not only called. */
function declares(source: string, name: string): boolean {
  return new RegExp(String.raw`(?:^ {2}#?|function |const |readonly )${name}(?: =|[<(])`, 'm').test(source)
}

const number = (value: number): string => value.toLocaleString('en-US')
