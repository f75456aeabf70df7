/** What a count of rare events says about their rate. */

/**
 * The exact upper confidence bound of the mean of a Poisson count (Garwood, 1936): a mean above it would give `count`
 * events or fewer with a probability below 1 - `confidence`. Half the chi-square quantile with 2(count + 1) degrees
 * of freedom; for no events and 95%: 2.996.
 */
export function poissonUpperBound(count: number, confidence = 0.95): number {
  const wanted = Math.log(1 - confidence)
  let low = count
  let high = count + 10 + 10 * Math.sqrt(count + 1)
  while (high - low > 1e-9 * (1 + high)) {
    const middle = (low + high) / 2
    if (logAtMost(count, middle) > wanted) low = middle
    else high = middle
  }
  return high
}

/** Logarithm of the probability of `count` events or fewer where `mean` are expected. */
function logAtMost(count: number, mean: number): number {
  // Relative to the last term, which is the largest where the mean is above the count.
  let sum = 1
  let ratio = 1
  let logLast = -mean
  for (let i = 1; i <= count; i++) logLast += Math.log(mean / i)
  for (let i = count; i > 0 && ratio > 1e-17; i--) {
    ratio *= i / mean
    sum += ratio
  }
  return logLast + Math.log(sum)
}
