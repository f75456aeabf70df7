import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { cacheFolder, root } from './support/paths.mjs'

/** How many bundles of one entry are kept: a running process may still read an older one. */
const KEPT = 5

/**
 * Bundles a TypeScript entry into one ESM file that Node runs, npm packages left outside. Node 20 runs no TypeScript.
 * The bundle is reused as long as no file in it has changed, without loading Vite at all.
 * @param {string} entry path of the entry, from the project's root or absolute
 * @returns {Promise<string>} path of the bundle
 */
export async function bundleForNode(entry) {
  const source = path.resolve(root, entry)
  const name = path
    .relative(root, source)
    .replaceAll(/[^\w-]+/g, '-')
    .replace(/-ts$/, '')
  const folder = path.join(cacheFolder, name)
  const known = readNote(folder)
  // two checkouts may share one node_modules: the note must be about the files of this one
  const isOurs = known?.files.includes(source) === true && existsSync(known.bundle)
  if (isOurs && known.inputs === hashFiles(known.files)) return known.bundle
  return build(source, name, folder)
}

/**
 * @param {string} source
 * @param {string} name
 * @param {string} folder
 */
async function build(source, name, folder) {
  if (!existsSync(source)) throw new Error(`There is no ${path.relative(root, source)}.`)
  const vite = await import('vite')
  const fresh = path.join(folder, `new-${process.pid}`)
  /** @type {Set<string>} */
  const files = new Set([path.join(root, 'package-lock.json')])
  await vite.build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [
      {
        name: 'grainmesh-note-inputs',
        moduleParsed: (module) => {
          if (path.isAbsolute(module.id) && existsSync(module.id)) files.add(module.id)
        },
      },
    ],
    build: {
      ssr: source,
      target: 'node20.19',
      outDir: fresh,
      emptyOutDir: true,
      copyPublicDir: false,
      minify: false,
      sourcemap: true,
      rolldownOptions: {
        external: (id) => /^[@\w]/.test(id) && !path.isAbsolute(id),
        // a worker thread started from the bundle runs the same file again: it must be the only one
        output: { entryFileNames: `${name}.mjs`, codeSplitting: false, format: 'esm' },
      },
    },
  })
  const finished = path.join(folder, hash(readFileSync(path.join(fresh, `${name}.mjs`))))
  // the name is the content, so a bundle that is there already is the same, and may be in use
  if (existsSync(finished)) rmSync(fresh, { recursive: true })
  else renameSync(fresh, finished)
  const bundle = path.join(finished, `${name}.mjs`)
  const sorted = [...files].toSorted()
  writeNote(folder, { bundle, files: sorted, inputs: hashFiles(sorted) })
  removeOld(folder)
  return bundle
}

/**
 * @typedef {{ bundle: string, files: string[], inputs: string }} Note
 * @param {string} folder
 * @returns {Note | undefined}
 */
function readNote(folder) {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'note.json'), 'utf8'))
  } catch {
    return undefined
  }
}

/**
 * @param {string} folder
 * @param {Note} note
 */
function writeNote(folder, note) {
  mkdirSync(folder, { recursive: true })
  const fresh = path.join(folder, `note-${process.pid}`)
  writeFileSync(fresh, JSON.stringify(note))
  renameSync(fresh, path.join(folder, 'note.json'))
}

/** @param {readonly string[]} files */
function hashFiles(files) {
  return hash(
    files.map((file) => `${file}\0${existsSync(file) ? hash(readFileSync(file)) : 'gone'}`).join('\0'),
  )
}

/** @param {string | Uint8Array} content */
function hash(content) {
  return createHash('sha256').update(content).digest('hex').slice(0, 24)
}

/** @param {string} folder */
function removeOld(folder) {
  const bundles = readdirSync(folder, { withFileTypes: true })
    .filter((child) => child.isDirectory())
    .map((child) => path.join(folder, child.name))
    .map((file) => ({ file, age: statSync(file).mtimeMs }))
    .toSorted((a, b) => b.age - a.age)
  for (const { file } of bundles.slice(KEPT)) rmSync(file, { recursive: true, force: true })
}
