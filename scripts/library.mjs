import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { UserError } from './support/console.mjs'
import { filesUnder } from './support/fingerprint.mjs'
import { buildFolder } from './support/outputs.mjs'
import { libraryFolder, root, typesFolder } from './support/paths.mjs'
import { runNode } from './support/processes.mjs'

const SOURCES = ['src', 'signaling-server', 'tsconfig.base.json', 'tsconfig.build.json']

/** Every module that consumers import, by the name of its file in dist/lib. */
const ENTRIES = {
  index: 'src/index.ts',
  testing: 'src/testing/index.ts',
  node: 'src/node.ts',
  'signaling-server': 'signaling-server/index.ts',
  'signaling-cli': 'signaling-server/cli.ts',
}

/** Builds the library (dist/lib) and its declarations (dist/types), unless they are up to date. */
export async function buildLibrary() {
  await Promise.all([
    buildFolder({ folder: libraryFolder, sources: SOURCES, build: buildModules }),
    buildFolder({ folder: typesFolder, sources: SOURCES, build: buildDeclarations }),
  ])
}

/** @param {string} outDir */
async function buildModules(outDir) {
  const { build } = await import('vite')
  const entry = Object.fromEntries(
    Object.entries(ENTRIES).map(([name, file]) => [name, path.join(root, file)]),
  )
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    build: {
      lib: { entry, formats: ['es'], fileName: (_format, name) => `${name}.js` },
      target: 'es2022',
      outDir,
      emptyOutDir: true,
      copyPublicDir: false,
      minify: false,
      sourcemap: true,
      rolldownOptions: {
        // npm packages and Node's own modules are the consumer's to resolve
        external: (id) => /^[@\w]/.test(id) && !path.isAbsolute(id),
        output: { banner: (chunk) => (chunk.name === 'signaling-cli' ? '#!/usr/bin/env node' : '') },
      },
    },
  })
}

/** @param {string} outDir */
async function buildDeclarations(outDir) {
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc')
  const { code, output } = await runNode(compiler, ['-p', 'tsconfig.build.json', '--outDir', outDir], {
    quiet: true,
  })
  if (code !== 0) throw new UserError(`The declarations cannot be built:\n${output}`)
  // only the newest compilers take ".ts" in a declaration for the ".d.ts" beside it; all take ".js"
  for (const file of filesUnder(outDir)) {
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replaceAll(/((?:from|import\()\s*['"]\.{1,2}\/[^'"\n]*)\.ts(['"])/g, '$1.js$2'))
  }
}
