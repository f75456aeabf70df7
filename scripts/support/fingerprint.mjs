import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { root } from './paths.mjs'

/**
 * A hash over the content of files and folders, to tell whether what was built from them is up to date.
 * What is not there counts as absent.
 * @param {readonly string[]} entries paths from the project's root
 * @returns {string}
 */
export function fingerprint(entries) {
  const hash = createHash('sha256')
  hash.update(process.versions.node)
  for (const entry of entries) {
    for (const file of filesUnder(path.resolve(root, entry))) {
      hash.update(`\0${path.relative(root, file)}\0`)
      hash.update(readFileSync(file))
    }
  }
  return hash.digest('hex').slice(0, 32)
}

/**
 * All files below a folder, sorted; the path itself where it is a file.
 * @param {string} entry
 * @returns {string[]}
 */
export function filesUnder(entry) {
  const stats = statSync(entry, { throwIfNoEntry: false })
  if (!stats) return []
  if (stats.isFile()) return [entry]
  return readdirSync(entry, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((child) => filesUnder(path.join(entry, child.name)))
}
