/** Who a process of Node is: an authority of its own, in memory or kept in a folder. */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { MAX_GENERATION, randomName } from '../../core/identity/node-id.ts'
import type { Identity, IdentityStore, Random } from '../../ports.ts'
import { createKeyPair, isKeyPairOf, signWith, type KeyPair } from '../webcrypto/key-pair.ts'
import { algorithmOf } from '../webcrypto/algorithms.ts'

export interface NodeIdentityOptions {
  readonly random: Random
  /**
   * A folder to keep keys and generations in: one file for each cluster, for the eyes of this user only. Default: none
   * is kept, and every claim is a new authority.
   */
  readonly folder?: string | undefined
}

/**
 * Identities of processes. With a folder a process has the authority of the one before it there, unless that still
 * runs: then it is somebody else, as it is where the folder cannot be used; `lost` says so. `claim` never rejects for that.
 */
export function createNodeIdentityStore({ random, folder }: NodeIdentityOptions): IdentityStore {
  const { subtle } = crypto
  const browser = randomName(16, random)
  const inMemory = async (lost?: string): Promise<Identity> => {
    const keys = await createKeyPair(subtle)
    let generation = 1
    return {
      authority: keys.authority,
      publicKey: keys.publicKey,
      generation,
      browser,
      sign: (bytes) => signWith(subtle, keys, bytes),
      nextGeneration: () => Promise.resolve(++generation),
      release: () => undefined,
      abandon: () => undefined,
      ...(lost === undefined ? {} : { lost }),
    }
  }
  return {
    async claim(cluster) {
      if (folder === undefined) return inMemory()
      try {
        const file = new IdentityFile(folder, cluster)
        if (!(await file.hold())) return await inMemory(whyLost(`another process uses ${file.name}`))
        return await kept(file, browser)
      } catch (error) {
        return inMemory(whyLost(error instanceof Error ? error.message : String(error)))
      }
    },
  }
}

/** What a file holds, as JSON; keys are in base64. */
interface Kept {
  readonly keys: KeyPair
  readonly privateKey: string
  readonly generation: number
}

async function kept(file: IdentityFile, browser: string): Promise<Identity> {
  const { subtle } = crypto
  try {
    const known = (await file.read(subtle)) ?? (await created(subtle))
    let held: Kept = { ...known, generation: known.generation + 1 }
    await file.write(held)
    const { authority, publicKey } = held.keys
    return {
      authority,
      publicKey,
      generation: held.generation,
      browser,
      sign: (bytes) => signWith(subtle, held.keys, bytes),
      async nextGeneration() {
        const now = await file.read(subtle)
        // Somebody else took the file over.
        if (now && (now.keys.authority !== authority || now.generation > held.generation)) return undefined
        held = { ...held, generation: held.generation + 1 }
        await file.write(held)
        return held.generation
      },
      release: () => file.release(),
      abandon: () => file.forget(),
    }
  } catch (error) {
    file.release()
    throw error
  }
}

async function created(subtle: SubtleCrypto): Promise<Kept> {
  const keys = await createKeyPair(subtle, true)
  const pkcs8 = await subtle.exportKey('pkcs8', keys.privateKey)
  return { keys, privateKey: Buffer.from(pkcs8).toString('base64'), generation: 0 }
}

/** The files that processes of this program hold now, so that a lock with this process's number is known as its own. */
const held = new Set<string>()

class IdentityFile {
  readonly name: string
  readonly #folder: string

  constructor(folder: string, cluster: string) {
    this.#folder = folder
    const hash = createHash('sha256').update(cluster).digest('hex')
    this.name = path.resolve(folder, `grainmesh-${hash.slice(0, 16)}.json`)
  }

  /** Whether the file is this process's now. A lock that a dead process left is taken over. */
  async hold(): Promise<boolean> {
    if (held.has(this.name)) return false
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        const lock = await open(this.#lock, 'wx', 0o600)
        await lock.writeFile(String(process.pid))
        await lock.close()
        held.add(this.name)
        return true
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error
        const owner = Number(await readFile(this.#lock, 'utf8').catch(() => ''))
        if (owner !== process.pid && isAlive(owner)) return false
        await rm(this.#lock, { force: true })
      }
    }
    return false
  }

  /** `undefined` for a file that is not there, or spoilt: nobody can tell which generations were used. */
  async read(subtle: SubtleCrypto): Promise<Kept | undefined> {
    try {
      const { publicKey, privateKey, authority, generation } = JSON.parse(
        await readFile(this.name, 'utf8'),
      ) as Record<string, unknown>
      if (typeof publicKey !== 'string' || typeof privateKey !== 'string' || typeof authority !== 'string')
        return undefined
      if (!Number.isSafeInteger(generation)) return undefined
      if ((generation as number) < 1 || (generation as number) >= MAX_GENERATION) return undefined
      const spki = new Uint8Array(Buffer.from(publicKey, 'base64'))
      const algorithm = algorithmOf(spki)
      if (!algorithm) return undefined
      const pkcs8 = new Uint8Array(Buffer.from(privateKey, 'base64'))
      const key = await subtle.importKey('pkcs8', pkcs8, algorithm.key, false, ['sign'])
      const keys = { authority, publicKey: spki, privateKey: key }
      if (!(await isKeyPairOf(subtle, authority, keys))) return undefined
      return { keys, privateKey, generation: generation as number }
    } catch {
      return undefined
    }
  }

  /** Whole or not at all. */
  async write({ keys, privateKey, generation }: Kept): Promise<void> {
    const { authority, publicKey } = keys
    const text = JSON.stringify({
      authority,
      generation,
      publicKey: Buffer.from(publicKey).toString('base64'),
      privateKey,
    })
    const next = `${this.name}.next`
    await writeFile(next, text, { mode: 0o600, flush: true })
    await rename(next, this.name)
  }

  /** At once: the process may be about to exit. */
  release(): void {
    if (held.delete(this.name)) drop(this.#lock)
  }

  /** The next claim is another authority. */
  forget(): void {
    if (held.has(this.name)) drop(this.name)
    this.release()
  }

  get #lock(): string {
    return `${this.name}.lock`
  }
}

function drop(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // A folder that became unusable: the next process finds a lock of one that is gone.
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasCode(error, 'EPERM')
  }
}

const hasCode = (error: unknown, code: string): boolean => (error as NodeJS.ErrnoException).code === code

const whyLost = (reason: string): string => `This process will be somebody new after a restart: ${reason}.`
