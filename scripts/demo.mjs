import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { buildFolder } from './support/outputs.mjs'
import { demoFolder, e2ePagesFolder, root } from './support/paths.mjs'

/**
 * Builds the static demo into dist/demo, unless it is up to date.
 * @returns {Promise<boolean>} whether it had to be built
 */
export function buildDemo() {
  return buildFolder({
    folder: demoFolder,
    sources: ['index.html', 'demo', 'src', 'vite.config.ts'],
    build: (fresh) => buildPages(root, ['index.html'], fresh),
  })
}

/**
 * Builds the small pages of the e2e specs (e2e/pages/*.html) into dist/e2e, unless they are up to date.
 * @returns {Promise<boolean>} whether they had to be built
 */
export function buildE2ePages() {
  const folder = path.join(root, 'e2e/pages')
  return buildFolder({
    folder: e2ePagesFolder,
    sources: ['e2e/pages', 'src', 'vite.config.ts'],
    build: async (fresh) => {
      const pages = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.html')) : []
      if (pages.length > 0) await buildPages(folder, pages, fresh)
    },
  })
}

/**
 * @param {string} folder
 * @param {readonly string[]} pages
 * @param {string} outDir
 */
async function buildPages(folder, pages, outDir) {
  const { build } = await import('vite')
  await build({
    configFile: path.join(root, 'vite.config.ts'),
    root: folder,
    // relative addresses let the pages live under any path
    base: './',
    logLevel: 'warn',
    build: {
      outDir,
      emptyOutDir: true,
      sourcemap: true,
      // no figure of the library's: the demo has its source maps, and all of it at once
      chunkSizeWarningLimit: 1_000,
      rolldownOptions: { input: pages.map((page) => path.join(folder, page)) },
    },
  })
}
