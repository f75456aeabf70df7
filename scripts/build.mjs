/** `node scripts/build.mjs [library|demo]`: builds what is out of date of dist/lib and dist/types, and dist/demo. */
import { buildDemo } from './demo.mjs'
import { buildLibrary } from './library.mjs'
import { UserError, fail, say } from './support/console.mjs'
import { ensureDependencies } from './support/dependencies.mjs'

/** @type {Record<string, () => Promise<unknown>>} */
const PARTS = { library: buildLibrary, demo: buildDemo }

try {
  const wanted = process.argv.slice(2)
  const unknown = wanted.find((name) => !Object.hasOwn(PARTS, name))
  if (unknown !== undefined)
    throw new UserError(`There is no part "${unknown}": ${Object.keys(PARTS).join(' or ')}.`)
  await ensureDependencies()
  for (const [name, build] of Object.entries(PARTS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    say(`Building the ${name} ...`)
    await build()
  }
  say('Built.')
} catch (error) {
  fail(error)
}
