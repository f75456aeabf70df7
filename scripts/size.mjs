/**
 * Says how many bytes `import { joinCluster } from 'grainmesh'` adds to a page, without and with the dependencies, and
 * fails above `sizeLimits` in package.json (gzip bytes).
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { buildLibrary } from './library.mjs'
import { UserError, fail } from './support/console.mjs'
import { libraryFolder, root } from './support/paths.mjs'

const ENTRY = '\0size-entry'

try {
  await buildLibrary()
  /** @type {{ sizeLimits: Record<string, number>, dependencies: Record<string, string> }} */
  const { sizeLimits, dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  /** @param {string} id */
  const isDependency = (id) =>
    Object.keys(dependencies).some((name) => id === name || id.startsWith(`${name}/`))
  const over = [
    report('library', await bundle(isDependency), sizeLimits),
    report('libraryWithDependencies', await bundle(() => false), sizeLimits),
  ].filter((name) => name !== undefined)
  if (over.length > 0) {
    throw new UserError(
      `Over the limit: ${over.join(', ')}. Make it smaller, or raise sizeLimits in package.json.`,
    )
  }
} catch (error) {
  fail(error)
}

/**
 * @param {(id: string) => boolean} external
 * @returns {Promise<string>} the minified code of all chunks
 */
async function bundle(external) {
  const { build } = await import('vite')
  const source = `export { joinCluster } from ${JSON.stringify(path.join(libraryFolder, 'index.js'))}`
  const result = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [
      {
        name: 'grainmesh-size-entry',
        resolveId: (id) => (id === ENTRY ? id : undefined),
        load: (id) => (id === ENTRY ? source : undefined),
      },
    ],
    build: {
      write: false,
      minify: true,
      rolldownOptions: { input: ENTRY, external, preserveEntrySignatures: 'strict' },
    },
  })
  if (!('output' in result)) throw new Error('Vite watches instead of building.')
  return result.output.map((file) => (file.type === 'chunk' ? file.code : '')).join('\n')
}

/**
 * @param {string} name
 * @param {string} code
 * @param {Record<string, number>} limits
 * @returns {string | undefined} the name where it is over its limit
 */
function report(name, code, limits) {
  const raw = Buffer.byteLength(code)
  const gzip = gzipSync(code, { level: 9 }).byteLength
  const limit = limits[name]
  if (limit === undefined) throw new UserError(`package.json has no sizeLimits.${name}.`)
  console.log(`${name}: ${raw} bytes, ${gzip} gzip (limit ${limit})`)
  return gzip > limit ? name : undefined
}
