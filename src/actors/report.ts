/** What the report's HTTP side may ask of the cheese reporter. */

export interface Report {
  /** Pizzas by choice of cheese, each counted once. */
  counts(): Readonly<Record<string, number>>
  readiness(): { readonly ready: boolean; readonly reasons: readonly string[] }
}
