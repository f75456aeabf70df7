import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's root folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '')
/** Files that only save time; safe to delete. */
export const cacheFolder = path.join(root, 'node_modules/.cache/grainmesh')
/** The static demo, as `npm run build` makes it. */
export const demoFolder = path.join(root, 'dist/demo')
/** The small pages of the e2e specs, built. */
export const e2ePagesFolder = path.join(root, 'dist/e2e')
/** The library's modules. */
export const libraryFolder = path.join(root, 'dist/lib')
/** The library's declarations. */
export const typesFolder = path.join(root, 'dist/types')
