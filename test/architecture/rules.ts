/**
 * The house: who may import whom. `demo, e2e pages, examples, bench -> public entries -> cluster.ts -> {driver -> ports
 * <- adapters}, core`; see ARCHITECTURE.md.
 */
import path from 'node:path'
import type { Import } from './imports.ts'

/** A file and what it imports; paths from the project's root with forward slashes. */
export interface Module {
  readonly file: string
  readonly imports: readonly Import[]
}

/** One arrow of the graph. */
interface Arrow {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

interface Rule {
  /** Files that the rule is for; the first rule that fits counts. */
  readonly files: RegExp
  /** Files they may import. */
  readonly may?: RegExp
  /** Files they may import types of. */
  readonly mayAsTypes?: RegExp
  /** npm packages and modules of Node they may import; default none. */
  readonly packages?: RegExp
}

const PUBLIC_ENTRIES = String.raw`src/(?:index|node|testing/index)\.ts|signaling-server/index\.ts`

const RULES: readonly Rule[] = [
  { files: /^src\/core\//, may: /^src\/core\// },
  { files: /^src\/errors\.ts$/, mayAsTypes: /^src\/(?:core\/|ports\.ts)/ },
  {
    files: /^src\/options\.ts$/,
    may: /^src\/(?:core\/tuning|errors)\.ts$/,
    mayAsTypes: /^src\/(?:core\/|grains\/|ports\.ts)/,
  },
  { files: /^src\/ports\.ts$/, mayAsTypes: /^src\/core\// },
  { files: /^src\/api\.ts$/, mayAsTypes: /^src\/(?!testing\/)/ },
  { files: /^src\/driver\//, may: /^src\/(?:driver\/|core\/|(?:ports|errors|options)\.ts)/ },
  // what users write, and one activation of it: knows ports and nothing of a network
  {
    files: /^src\/grains\//,
    may: /^src\/(?:grains\/|(?:ports|errors|options)\.ts$)/,
    mayAsTypes: /^src\/core\//,
    packages: /^devalue$/,
  },
  adapter('browser'),
  // keeps the keys that the other makes
  adapter('indexeddb', /^idb-keyval$/, String.raw`adapters/webcrypto/key-pair\.ts$|`),
  // plays the signaling server too, within the same limits
  adapter('memory', undefined, String.raw`adapters/signaling/(?:protocol|quiet)\.ts$|`),
  adapter('node', /^(?:node:.*|ws)$/, String.raw`adapters/webcrypto/(?:key-pair|algorithms)\.ts$|`),
  // keeps within what the signaling protocol carries, and asks the platform for WebCrypto as identities do
  adapter('relay', undefined, String.raw`adapters/(?:signaling/protocol|webcrypto/key-pair)\.ts$|`),
  adapter('signaling'),
  adapter('webcrypto'),
  adapter('webrtc', /^simple-peer(?:\/|$)/),
  {
    // the command line runs in Node only, so nothing that ships may lead to it
    files: /^src\/testing\/cli\//,
    may: /^src\/(?:testing\/|core\/|driver\/|adapters\/memory\/|(?:ports|errors|options)\.ts)/,
    mayAsTypes: /^src\/api\.ts$/,
    packages: /^node:/,
  },
  {
    files: /^src\/testing\//,
    may: /^src\/(?:testing\/(?!cli\/)|core\/|driver\/|adapters\/memory\/|(?:adapters\/signaling\/quiet|ports|errors|options)\.ts)/,
    mayAsTypes: /^src\/api\.ts$/,
  },
  { files: /^src\/cluster(?:\.ts|\/)/, may: /^src\/(?!testing\/|index\.ts|node\.ts|adapters\/node\/)/ },
  { files: /^src\/index\.ts$/, may: /^src\/(?!testing\/|node\.ts$)/ },
  { files: /^src\/node\.ts$/, may: /^src\/(?:adapters\/(?:browser|node)\/|(?:ports|errors)\.ts$)/ },
  {
    files: /^signaling-server\//,
    may: /^(?:signaling-server\/|src\/adapters\/signaling\/(?:protocol|quiet)\.ts$)/,
    packages: /^(?:node:.*|ws)$/,
  },
  user('demo'),
  {
    // a test of the browser adapters alone, and of the queue before a link, in the only place where they run
    files: /^e2e\/pages\/adapters\.ts$/,
    may: /^src\/(?:adapters\/|driver\/link-queue\.ts$|testing\/contract|ports\.ts$)/,
  },
  {
    // what a spec has to know of grains before it takes a tab away, and no user needs to
    files: /^e2e\/pages\/grain-view\.ts$/,
    may: /^src\/core\/(?:grain-binding|partition\/partition)\.ts$/,
  },
  user('e2e/pages'),
  user('examples'),
  user('bench'),
]

/** Folders whose files must have a rule. */
export const RULED_FOLDERS = ['src', 'signaling-server', 'demo', 'e2e/pages', 'examples', 'bench']

/** One sentence for each import that the house does not allow, and for each file that has no place in it. */
export function violations(modules: readonly Module[]): string[] {
  return modules.flatMap(({ file, imports }) => {
    const rule = RULES.find(({ files }) => files.test(file))
    if (!rule) return [`${file} has no place in the house: give it a rule in test/architecture/rules.ts`]
    return imports.flatMap((item) => {
      const target = resolve(file, item.specifier)
      if (target === undefined) {
        return rule.packages?.test(item.specifier)
          ? []
          : [`${file} must not import the package ${item.specifier}`]
      }
      if (rule.may?.test(target)) return []
      if (!rule.mayAsTypes?.test(target)) return [`${file} must not import ${target}`]
      return item.typeOnly ? [] : [`${file} may import only types of ${target}`]
    })
  })
}

/** Circles among files that load each other, as `a -> b -> a`. */
export function fileCycles(modules: readonly Module[]): string[] {
  return cycles(arrowsOf(modules))
}

/** Circles among the folders of core, where a file at its top stands for itself. */
export function coreFolderCycles(modules: readonly Module[]): string[] {
  const place = (file: string): string | undefined => /^src\/core\/[^/]+/.exec(file)?.[0]
  return cycles(
    arrowsOf(modules).flatMap(({ from, to, typeOnly }) => {
      const [a, b] = [place(from), place(to)]
      return a === undefined || b === undefined || a === b ? [] : [{ from: a, to: b, typeOnly }]
    }),
  )
}

/** The file that a relative specifier names, or `undefined` where it names a package. */
function resolve(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return path.posix.join(path.posix.dirname(file), specifier.replace(/\?.*$/, ''))
}

function arrowsOf(modules: readonly Module[]): Arrow[] {
  return modules.flatMap(({ file, imports }) =>
    imports.flatMap(({ specifier, typeOnly }) => {
      const to = resolve(file, specifier)
      return to === undefined ? [] : [{ from: file, to, typeOnly }]
    }),
  )
}

/** One circle for each strongly tied group that a depth-first walk over the loading arrows meets. */
function cycles(arrows: readonly Arrow[]): string[] {
  const next = new Map<string, Set<string>>()
  for (const { from, to, typeOnly } of arrows) {
    if (!typeOnly) next.set(from, (next.get(from) ?? new Set()).add(to))
  }
  const found: string[] = []
  const done = new Set<string>()
  const walk = (node: string, trail: readonly string[]): void => {
    const seenAt = trail.indexOf(node)
    if (seenAt !== -1) {
      found.push([...trail.slice(seenAt), node].join(' -> '))
      return
    }
    if (done.has(node)) return
    for (const to of next.get(node) ?? []) walk(to, [...trail, node])
    done.add(node)
  }
  for (const node of next.keys()) walk(node, [])
  return found
}

/** An adapter reads the ports it implements; it knows the core as types, and its identifiers. */
function adapter(name: string, packages?: RegExp, more = ''): Rule {
  return {
    files: new RegExp(`^src/adapters/${name}/`),
    may: new RegExp(
      String.raw`^src/(?:${more}adapters/${name}/|core/identity/|(?:ports|errors|options)\.ts$)`,
    ),
    mayAsTypes: /^src\/core\//,
    ...(packages && { packages }),
  }
}

/** Code that stands where a user of the library stands. */
function user(folder: string): Rule {
  return {
    files: new RegExp(`^${folder}/`),
    may: new RegExp(`^(?:${folder}/|(?:${PUBLIC_ENTRIES})$)`),
    packages: /^[^.]/,
  }
}
