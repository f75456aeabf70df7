/// <reference types="vite/types/importMeta.d.ts" />
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { filesUnder } from '../scripts/support/fingerprint.mjs'
import { root } from '../scripts/support/paths.mjs'
import { importsOf, ownCodeOf } from './architecture/imports.ts'
import { RULED_FOLDERS, coreFolderCycles, fileCycles, violations } from './architecture/rules.ts'
import type { Module } from './architecture/rules.ts'

const sourceFiles = RULED_FOLDERS.flatMap((folder) => filesUnder(path.join(root, folder)))
  .filter((file) => /\.[cm]?[jt]sx?$/.test(file))
  .map((file) => path.relative(root, file).replaceAll(path.sep, '/'))
const modules = sourceFiles.map((file): Module => ({ file, imports: importsOf(read(file)) }))

describe('the house', () => {
  it('is walked as a whole', () => {
    expect(modules.length).toBeGreaterThan(30)
    expect(modules.flatMap(({ imports }) => imports).length).toBeGreaterThan(60)
    for (const file of ['src/core/node.ts', 'src/ports.ts', 'src/index.ts', 'signaling-server/index.ts']) {
      expect(sourceFiles).toContain(file)
    }
  })

  it('has no arrow that is not allowed', () => {
    expect(violations(modules)).toEqual([])
  })

  it('has no two files that load each other', () => {
    expect(fileCycles(modules)).toEqual([])
  })

  it('has no two folders of core that load each other', () => {
    expect(coreFolderCycles(modules)).toEqual([])
  })

  it('re-exports from its entry, and does nothing else there', () => {
    expect(ownCodeOf(read('src/index.ts'))).toBe('')
  })
})

describe('every module of the library', () => {
  const loaders = import.meta.glob([
    '../src/**/*.ts',
    '!../src/testing/cli/**',
    '../signaling-server/index.ts',
  ])

  it.each(Object.entries(loaders))('%s loads where there is no window', async (_file, load) => {
    expect(typeof globalThis.window).toBe('undefined')
    await expect(load()).resolves.toBeDefined()
  })
})

describe('the checker', () => {
  const forbidden: readonly (readonly [from: string, source: string])[] = [
    ['src/core/gossip/state.ts', `import { ClusterError } from '../../errors.ts'`],
    ['src/core/gossip/state.ts', `import type { Clock } from '../../ports.ts'`],
    ['src/core/node.ts', `import { get } from 'idb-keyval'`],
    ['src/core/node.ts', `import 'node:fs'`],
    ['src/core/node.ts', `export const load = () => import('../driver/driver.ts')`],
    ['src/errors.ts', `import { randomName } from './core/identity/node-id.ts'`],
    ['src/options.ts', `export * from './ports.ts'`],
    ['src/ports.ts', `import { type Now, isNow } from './core/time.ts'`],
    ['src/ports.ts', `import type { ClusterError } from './errors.ts'`],
    ['src/api.ts', `import { ClusterError } from './errors.ts'`],
    ['src/driver/driver.ts', `import { memoryNetwork } from '../adapters/memory/network.ts'`],
    ['src/driver/driver.ts', `import type { Cluster } from '../api.ts'`],
    ['src/driver/driver.ts', `import { Activation } from '../grains/activation.ts'`],
    ['src/grains/activation.ts', `import { shareMembership } from '../cluster/shared.ts'`],
    ['src/grains/activation.ts', `import { encode } from '../core/wire/encode.ts'`],
    ['src/adapters/webrtc/link.ts', `import { decode } from '../../core/wire/decode.ts'`],
    ['src/adapters/webrtc/link.ts', `import { parse } from '../signaling/protocol.ts'`],
    ['src/adapters/webrtc/link.ts', `import { get } from 'idb-keyval'`],
    ['src/adapters/indexeddb/store.ts', `import { driver } from '../../driver/driver.ts'`],
    ['src/testing/simulator.ts', `import { link } from '../adapters/webrtc/link.ts'`],
    ['src/testing/simulator.ts', `import { main } from './cli/sim.ts'`],
    ['src/testing/simulator.ts', `import fc from 'fast-check'`],
    ['src/cluster.ts', `import { simulate } from './testing/index.ts'`],
    ['src/index.ts', `export * from './testing/index.ts'`],
    ['signaling-server/rooms.ts', `import { isNodeId } from '../src/core/identity/node-id.ts'`],
    ['demo/main.ts', `import { joinCluster } from '../src/cluster.ts'`],
    ['demo/main.ts', `import type { Member } from '../src/api.ts'`],
    ['e2e/pages/join.ts', `import { site } from '../support/site.ts'`],
    ['bench/merge.ts', `import { Table } from '../src/core/membership/table.ts'`],
    ['src/helpers.ts', ''],
  ]

  it.each(forbidden)('refuses in %s: %s', (file, source) => {
    const [problem, ...more] = violations([{ file, imports: importsOf(source) }])
    expect(problem).toMatch(new RegExp(`^${file} (?:must not import|may import only types|has no place)`))
    expect(more).toEqual([])
  })

  const allowed: readonly (readonly [from: string, source: string])[] = [
    ['src/core/gossip/state.ts', `import { merge } from '../membership/record.ts'`],
    ['src/options.ts', `import type { Platform } from './ports.ts'`],
    ['src/ports.ts', `import type { Now } from './core/time.ts'`],
    ['src/api.ts', `export type { Tuning } from './options.ts'`],
    [
      'src/driver/driver.ts',
      `import { NodeCore } from '../core/node.ts'\nimport type { Clock } from '../ports.ts'`,
    ],
    ['src/adapters/webrtc/link.ts', `import Peer from 'simple-peer/simplepeer.min.js'`],
    ['src/adapters/indexeddb/store.ts', `import { isNodeId } from '../../core/identity/node-id.ts'`],
    ['src/adapters/memory/link.ts', `import type { Output } from '../../core/events.ts'`],
    ['src/testing/simulator.ts', `import { memoryLinks } from '../adapters/memory/links.ts'`],
    ['src/cluster.ts', `import { simplePeer } from './adapters/webrtc/transport.ts'`],
    [
      'signaling-server/server.ts',
      `import { WebSocketServer } from 'ws'\nimport { createServer } from 'node:http'`,
    ],
    ['demo/main.ts', `import { joinCluster } from '../src/index.ts'\nimport { draw } from './graph.ts'`],
  ]

  it.each(allowed)('allows in %s: %s', (file, source) => {
    expect(violations([{ file, imports: importsOf(source) }])).toEqual([])
  })

  it('finds circles, but not through types', () => {
    const circle = (link: string): Module[] => [
      { file: 'src/core/gossip/a.ts', imports: importsOf(`${link} { b } from '../membership/b.ts'`) },
      { file: 'src/core/membership/b.ts', imports: importsOf(`import { a } from '../gossip/a.ts'`) },
    ]
    expect(fileCycles(circle('import'))).toEqual([
      'src/core/gossip/a.ts -> src/core/membership/b.ts -> src/core/gossip/a.ts',
    ])
    expect(coreFolderCycles(circle('export'))).toEqual([
      'src/core/gossip -> src/core/membership -> src/core/gossip',
    ])
    expect(fileCycles(circle('import type'))).toEqual([])
    expect(coreFolderCycles(circle('import type'))).toEqual([])
  })

  it('finds a circle of folders that no two files form', () => {
    const graph: Module[] = [
      { file: 'src/core/gossip/a.ts', imports: importsOf(`import { b } from '../wire/b.ts'`) },
      { file: 'src/core/wire/c.ts', imports: importsOf(`import { d } from '../gossip/d.ts'`) },
    ]
    expect(fileCycles(graph)).toEqual([])
    expect(coreFolderCycles(graph)).toHaveLength(1)
  })

  it('reads every form of import, and nothing in comments, strings and regular expressions', () => {
    const source = [
      `import a from './a.ts'; import * as b from "./b.ts"`,
      `import type {`,
      `  C, // from './no-1.ts'`,
      `} from './c.ts'`,
      `import { type D } from './d.ts'`,
      `import type from './e.ts'`,
      `import './f.ts'`,
      `export * from './g.ts'`,
      `export type { H } from './h.ts'`,
      "const text = `import './no-2.ts' ${await import('./i.ts')} import './no-3.ts'`",
      `/* import './no-4.ts' */ const s = "import './no-5.ts'"`,
      String.raw`const quote = /['"]/, half = 4 / 2; export { j } from './j.ts' // 'open`,
      `export const from = 1; const k = x['./no-6.ts']`,
    ].join('\n')
    const found = importsOf(source).map(({ specifier, typeOnly }) => specifier + (typeOnly ? ' type' : ''))
    expect(found.toSorted()).toEqual([
      './a.ts',
      './b.ts',
      './c.ts type',
      './d.ts',
      './e.ts',
      './f.ts',
      './g.ts',
      './h.ts type',
      './i.ts',
      './j.ts',
    ])
  })

  it('tells an entry that does more than re-export', () => {
    expect(ownCodeOf(`// words\nexport { a } from './a.ts'\nexport type { B } from './b.ts';\n`)).toBe('')
    expect(ownCodeOf(`export { a } from './a.ts'\nsetUp()`)).toBe('setUp()')
    expect(ownCodeOf(`import './polyfill.ts'\nexport { a } from './a.ts'`)).not.toBe('')
  })
})

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8')
}
