import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fingerprint } from './support/fingerprint.mjs'
import { demoFolder, e2ePagesFolder, root } from './support/paths.mjs'

/** Kept inside what was built, so that the two can only be replaced together. */
const STAMP = '.fingerprint'
const SHARED_SOURCES = ['src', 'package-lock.json', 'vite.config.ts', 'scripts/demo.mjs']

/**
 * Builds the static demo into dist/demo, unless it is up to date.
 * @returns {Promise<boolean>} whether it had to be built
 */
export function buildDemo() {
  return buildPages({
    folder: demoFolder,
    sources: ['index.html', 'demo', 'public', ...SHARED_SOURCES],
    root,
    pages: ['index.html'],
  })
}

/**
 * Builds the small pages of the e2e specs (e2e/pages/*.html) into dist/e2e, unless they are up to date.
 * @returns {Promise<boolean>} whether they had to be built
 */
export function buildE2ePages() {
  const folder = path.join(root, 'e2e/pages')
  const pages = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.html')) : []
  return buildPages({
    folder: e2ePagesFolder,
    sources: ['e2e/pages', ...SHARED_SOURCES],
    root: folder,
    pages,
  })
}

/**
 * @param {{ folder: string, sources: string[], root: string, pages: string[] }} plan
 */
async function buildPages(plan) {
  const stamp = fingerprint(plan.sources)
  if (readStamp(plan.folder) === stamp) return false
  const fresh = `${plan.folder}.${process.pid}.new`
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh, { recursive: true })
  if (plan.pages.length > 0) {
    const { build } = await import('vite')
    await build({
      configFile: path.join(root, 'vite.config.ts'),
      root: plan.root,
      // relative addresses let the pages live under any path
      base: './',
      logLevel: 'warn',
      build: {
        outDir: fresh,
        emptyOutDir: true,
        sourcemap: true,
        rolldownOptions: { input: plan.pages.map((page) => path.join(plan.root, page)) },
      },
    })
  }
  writeFileSync(path.join(fresh, STAMP), stamp)
  replaceFolder(plan.folder, fresh)
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

/**
 * Puts the new folder in place of the old one in one step, so that a server of the old one never sees half of it.
 * @param {string} folder
 * @param {string} fresh
 */
function replaceFolder(folder, fresh) {
  const old = `${folder}.${process.pid}.old`
  if (existsSync(folder)) renameSync(folder, old)
  renameSync(fresh, folder)
  rmSync(old, { recursive: true, force: true })
}
