import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fingerprint } from './fingerprint.mjs'

/** Kept inside what was built, so that the two can only be replaced together. Not packed: see `files`. */
const STAMP = '.fingerprint'

/**
 * Builds a folder unless it is up to date. The finished folder takes the place of the old one in one step, so that
 * whoever reads it never sees half of it.
 * @param {object} plan
 * @param {string} plan.folder
 * @param {readonly string[]} plan.sources files and folders that it is built from, from the project's root
 * @param {(fresh: string) => Promise<void>} plan.build writes everything into the empty folder it is given
 * @returns {Promise<boolean>} whether it had to be built
 */
export async function buildFolder({ folder, sources, build }) {
  const stamp = fingerprint(['package.json', 'package-lock.json', 'scripts', ...sources])
  if (readStamp(folder) === stamp) return false
  const fresh = `${folder}.${process.pid}.new`
  const old = `${folder}.${process.pid}.old`
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh, { recursive: true })
  try {
    await build(fresh)
    writeFileSync(path.join(fresh, STAMP), stamp)
    try {
      if (existsSync(folder)) renameSync(folder, old)
      renameSync(fresh, folder)
    } catch (error) {
      // another process that built the same may have been first
      if (readStamp(folder) !== stamp) throw error
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
  return true
}

/** @param {string} folder */
function readStamp(folder) {
  try {
    return readFileSync(path.join(folder, STAMP), 'utf8')
  } catch {
    return undefined
  }
}
