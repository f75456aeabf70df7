/** Runs a TypeScript file with Node: `node scripts/run.mjs <entry.ts> [arguments]`. Source maps are on. */
import { pathToFileURL } from 'node:url'
import { bundleForNode } from './bundle.mjs'
import { UserError, fail } from './support/console.mjs'
import { ensureDependencies } from './support/dependencies.mjs'

const [entry, ...rest] = process.argv.slice(2)
try {
  if (!entry) throw new UserError('Usage: node scripts/run.mjs <entry.ts> [arguments]')
  await ensureDependencies()
  const bundle = await bundleForNode(entry)
  // the program sees its own name and arguments, and stack traces name TypeScript lines
  process.argv.splice(1, process.argv.length, bundle, ...rest)
  process.setSourceMapsEnabled(true)
  await import(pathToFileURL(bundle).href)
} catch (error) {
  fail(error)
}
