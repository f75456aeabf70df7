/** `npm run bench -- <name> [arguments]`: runs bench/<name>.ts; without a name, lists what there is. */
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { UserError, fail } from './support/console.mjs'
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
  if (name === undefined || !names.includes(name)) {
    throw new UserError(
      `Usage: npm run bench -- <name>, where name is one of: ${names.join(', ') || '(none yet)'}`,
    )
  }
  process.exitCode = (await runNode('scripts/run.mjs', [`bench/${name}.ts`, ...rest])).code
} catch (error) {
  fail(error)
}
