import path from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Loads a module of the project by its path from the project's root. Scripts find the project beside themselves, so a
 * copy of them inside a bench's bundle would look in the wrong place.
 */
export async function load<Module>(file: string): Promise<Module> {
  return (await import(pathToFileURL(path.resolve(file)).href)) as Module
}
