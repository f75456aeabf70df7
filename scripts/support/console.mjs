const started = Date.now()
const colour = process.stdout.isTTY && !process.env['NO_COLOR']

/** @param {number} code @param {string} text */
const paint = (code, text) => (colour ? `\u001B[${code}m${text}\u001B[0m` : text)

/** @param {string} text */
export const bold = (text) => paint(1, text)
/** @param {string} text */
export const dim = (text) => paint(2, text)
/** @param {string} text */
export const red = (text) => paint(31, text)
/** @param {string} text */
export const green = (text) => paint(32, text)

/**
 * Says what is being done.
 * @param {string} text
 */
export function say(text) {
  console.log(`${dim(clock())} ${text}`)
}

/**
 * Opens a part of a longer run.
 * @param {string} text
 */
export function heading(text) {
  console.log(`\n${dim(clock())} ${bold(`== ${text}`)}`)
}

/**
 * Ends the process with a message for the person at the terminal instead of a stack trace.
 * @param {unknown} error
 * @returns {never}
 */
export function fail(error) {
  const text =
    error instanceof Error ? (error instanceof UserError ? error.message : error.stack) : String(error)
  console.error(red(text ?? 'failed'))
  process.exit(1)
}

/** Something the person at the terminal can mend; its message is the whole story. */
export class UserError extends Error {}

function clock() {
  const seconds = Math.round((Date.now() - started) / 1000)
  return `${String(Math.floor(seconds / 60))}:${String(seconds % 60).padStart(2, '0')}`
}
