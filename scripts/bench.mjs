/** `npm run bench -- <name> [arguments]`: runs bench/<name>.ts; without a name, lists what there is. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { UserError, bold, fail } from './support/console.mjs'
import { root } from './support/paths.mjs'
import { runNode } from './support/processes.mjs'

const folder = path.join(root, 'bench')

try {
  const [name, ...rest] = process.argv.slice(2)
  const names = existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => file.endsWith('.ts'))
        .map((file) => file.slice(0, -'.ts'.length))
    : []
  if (name === undefined || name === '--help') {
    for (const known of names) console.log(about(known))
  } else if (names.includes(name)) {
    process.exitCode = (await runNode('scripts/run.mjs', [`bench/${name}.ts`, ...rest])).code
  } else {
    throw new UserError(`There is no bench "${name}"; there are: ${names.join(', ') || '(none yet)'}.`)
  }
} catch (error) {
  fail(error)
}

/**
 * The first paragraph of a bench's head: its command, and what it measures.
 * @param {string} name
 */
function about(name) {
  const source = readFileSync(path.join(folder, `${name}.ts`), 'utf8')
  const head =
    /^\/\*\*\s*\*?\s*(.*?)\s*(?:\n \*\s*\n|\*\/)/s.exec(source)?.[1] ?? `\`npm run bench -- ${name}\``
  const text = head.replaceAll(/\s*\n \*\s*/g, ' ')
  return text.replace(/^`([^`]*)`:?\s*/, (_, command) => `${bold(command)}\n  `)
}
