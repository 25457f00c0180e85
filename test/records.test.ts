import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addTopping,
  orderCountMax,
  parseOrder,
  parsePizza,
  parseTopped,
  printOrder,
  printPizza,
  RecordError,
  type RecordErrorReason,
} from '../src/records.ts'

const toppings = ['sauce', 'cheese', 'meats', 'veggies']

/** Reason and message of what `parse` throws. */
function refusalOf(parse: () => unknown): [RecordErrorReason, string] {
  try {
    parse()
  } catch (error) {
    if (error instanceof RecordError) return [error.reason, error.message]
    throw error
  }
  throw new Error('The record was taken')
}

const bytes = (text: string) => Buffer.from(text)

/** The record after a service that knows only `sauce` had it. */
function withSauce(text: string): string {
  const value = bytes(text)
  return addTopping(value, parsePizza(value), 'sauce', 'bbq')
}

const orderId = fc.stringMatching(/^[\w.-]{1,64}$/)

describe('An order record', () => {
  it('is read as it was printed', () => {
    const instant = fc.integer({ min: 1, max: Date.UTC(9999, 11, 31) })
    fc.assert(
      fc.property(orderId, fc.integer({ min: 1, max: orderCountMax }), instant, (order_id, count, placedAt) => {
        const order = parseOrder(bytes(printOrder({ order_id, count, placedAt })))
        expect(order).toEqual({ order_id, count, placed_at: new Date(placedAt).toISOString() })
      }),
    )
  })

  it('of another program may lack its time and have other fields (R1)', () => {
    expect(parseOrder(bytes('{"note":{"a":[1]},"count":3,"order_id":"7"}'))).toEqual({ order_id: '7', count: 3 })
  })

  it.each<[string, string | null, RecordErrorReason, string]>([
    ['a tombstone', null, 'invalid-record', 'The record has no value (a tombstone)'],
    ['no text', '', 'not-json', 'The value is not JSON: Unexpected end of JSON input'],
    ['a torn text', '{"order_id":"1","cou', 'not-json', 'The value is not JSON: '],
    ['a list', '[{"order_id":"1","count":1}]', 'invalid-record', 'record: Invalid input: expected object'],
    ['null', 'null', 'invalid-record', 'record: Invalid input: expected object'],
    ['no id', '{"count":1}', 'invalid-record', 'order_id: Invalid input: expected string'],
    ['a number as id', '{"order_id":1,"count":1}', 'invalid-record', 'order_id: Invalid input: expected string'],
    ['an id with a space', '{"order_id":"a b","count":1}', 'invalid-record', 'order_id: expected 1 to 64 letters'],
    ['an id with a newline', '{"order_id":"1\\n","count":1}', 'invalid-record', 'order_id: expected 1 to 64 letters'],
    ['an id of 65', `{"order_id":"${'1'.repeat(65)}","count":1}`, 'invalid-record', 'order_id: expected 1 to 64'],
    ['no count', '{"order_id":"1"}', 'invalid-record', 'count: Invalid input: expected number'],
    ['a count of 0', '{"order_id":"1","count":0}', 'invalid-record', 'count: Too small'],
    ['half a pizza', '{"order_id":"1","count":1.5}', 'invalid-record', 'count: Invalid input: expected int'],
    ['a huge count', '{"order_id":"1","count":99999999999999999999}', 'invalid-record', 'count: Too big'],
    ['one pizza too many', '{"order_id":"1","count":10001}', 'invalid-record', 'count: Too big'],
    ['count as text', '{"order_id":"1","count":"3"}', 'invalid-record', 'count: Invalid input: expected number'],
    ['no date', '{"order_id":"1","count":1,"placed_at":"now"}', 'invalid-record', 'placed_at: Invalid ISO datetime'],
    [
      'a day that never was',
      '{"order_id":"1","count":1,"placed_at":"2026-02-30T00:00:00Z"}',
      'invalid-record',
      'placed_at: Invalid ISO datetime',
    ],
    [
      'a time before time',
      '{"order_id":"1","count":1,"placed_at":"1970-01-01T00:00:00Z"}',
      'invalid-record',
      'placed_at: expected an instant after 1970',
    ],
    [
      'fields of the prototype',
      '{"__proto__":{"order_id":"1","count":1}}',
      'invalid-record',
      'order_id: Invalid input',
    ],
  ])('is refused when it is %s (R2)', (_, text, reason, message) => {
    const [foundReason, foundMessage] = refusalOf(() => parseOrder(text === null ? null : bytes(text)))
    expect(foundReason).toBe(reason)
    expect(foundMessage).toContain(message)
  })

  it('names everything that is wrong with it at once', () => {
    const [, message] = refusalOf(() => parseOrder(bytes('{"order_id":"","count":-1}')))
    expect(message).toMatch(/order_id: .*; count: /)
  })
})

describe('A pizza record', () => {
  it('has the order, its number and every topping empty, in this order', () => {
    expect(printPizza('77', 2, toppings)).toBe(
      '{"order_id":"77","pizza_id":2,"sauce":"","cheese":"","meats":"","veggies":""}',
    )
    expect(parsePizza(bytes(printPizza('77', 2, toppings)))).toEqual({
      order_id: '77',
      pizza_id: 2,
      sauce: '',
      cheese: '',
      meats: '',
      veggies: '',
    })
  })

  it('gets its toppings one after the other and each is read back', () => {
    let text = printPizza('77', 2, toppings)
    for (const topping of toppings) {
      text = addTopping(bytes(text), parsePizza(bytes(text)), topping, `some ${topping}`)
      expect(parseTopped(bytes(text), topping)).toEqual({ order_id: '77', pizza_id: 2, choice: `some ${topping}` })
    }
    expect(text).toBe(
      '{"order_id":"77","pizza_id":2,"sauce":"some sauce","cheese":"some cheese","meats":"some meats","veggies":"some veggies"}',
    )
  })

  it.each<[string, string | null, RecordErrorReason, string]>([
    ['a tombstone', null, 'invalid-record', 'tombstone'],
    ['no JSON', 'pizza!', 'not-json', 'The value is not JSON: Unexpected token'],
    ['a text', '"pizza"', 'invalid-record', 'record: Invalid input: expected object'],
    ['without order', '{"pizza_id":1}', 'invalid-record', 'order_id: Invalid input: expected string'],
    ['number 0', '{"order_id":"1","pizza_id":0}', 'invalid-record', 'pizza_id: Too small'],
    ['a number as text', '{"order_id":"1","pizza_id":"1"}', 'invalid-record', 'pizza_id: Invalid input'],
    ['null as number', '{"order_id":"1","pizza_id":null}', 'invalid-record', 'pizza_id: Invalid input'],
    ['a huge number', '{"order_id":"1","pizza_id":1e300}', 'invalid-record', 'pizza_id: Too big'],
    ['20 digits', '{"order_id":"1","pizza_id":99999999999999999999}', 'invalid-record', 'pizza_id: Too big'],
  ])('is refused when it is %s (R2)', (_, text, reason, message) => {
    const value = text === null ? null : bytes(text)
    for (const parse of [() => parsePizza(value), () => parseTopped(value, 'sauce')]) {
      const [foundReason, foundMessage] = refusalOf(parse)
      expect(foundReason).toBe(reason)
      expect(foundMessage).toContain(message)
    }
  })

  it('is refused when its bytes are no UTF-8, rather than passed on with other characters (R2)', () => {
    const value = Buffer.concat([bytes('{"order_id":"1","note":"'), Buffer.from([0xc3, 0x28]), bytes('"}')])
    expect(refusalOf(() => parsePizza(value))).toEqual(['not-json', 'The value is not JSON: it is not UTF-8'])
  })

  it.each([
    ['missing', ''],
    ['empty', ',"sauce":""'],
    ['no text', ',"sauce":3'],
    ['null', ',"sauce":null'],
    ['a list', ',"sauce":["bbq"]'],
    ['longer than a thousand', `,"sauce":"${'x'.repeat(1_001)}"`],
  ])('of a topping topic is refused when the topping is %s (R2)', (_, field) => {
    const [reason, message] = refusalOf(() => parseTopped(bytes(`{"order_id":"1","pizza_id":1${field}}`), 'sauce'))
    expect(reason).toBe('invalid-record')
    expect(message).toBe('Field sauce: expected the choice as a text of 1 to 1000 characters')
  })

  it('of a program that does not number pizzas has no pizza id', () => {
    expect(parseTopped(bytes('{"order_id":"1","sauce":"bbq"}'), 'sauce')).toEqual({
      order_id: '1',
      pizza_id: undefined,
      choice: 'bbq',
    })
  })

  it('can be of any order id that is allowed, also one that names a prototype', () => {
    expect(parsePizza(bytes('{"order_id":"__proto__","pizza_id":1}')).order_id).toBe('__proto__')
  })
})

describe('A topping that is added (R1)', () => {
  it.each([
    ['fields nobody here knows', '{"x":"1","order_id":"1","pizza_id":2,"sauce":"","y":"2"}'],
    ['the order of fields', '{"sauce":"","zeta":"z","alpha":"a","order_id":"1"}'],
    ['1.0 and 1e3', '{"order_id":"1","price":1.0,"grams":1e3,"sauce":""}'],
    ['an integer of 20 digits', '{"order_id":"1","trace":12345678901234567890,"sauce":""}'],
    ['numbers inside lists and objects', '{"order_id":"1","tags":[1.50,{"n":-0.0,"m":[2E+2]}],"sauce":""}'],
    ['true, false and null', '{"order_id":"1","a":true,"b":false,"c":null,"sauce":""}'],
    ['empty lists and objects', '{"order_id":"1","a":[],"b":{},"sauce":""}'],
    ['a field called __proto__', '{"order_id":"1","__proto__":{"count":1.0},"sauce":""}'],
    ['half a surrogate pair', '{"order_id":"1","a":"\\ud800","sauce":""}'],
    ['characters of any script', '{"order_id":"1","ünï🍕":"ピザ","sauce":""}'],
  ])('leaves %s as it was', (_, text) => {
    expect(withSauce(text)).toBe(text.replace('"sauce":""', '"sauce":"bbq"'))
  })

  it('is put last when the record had no such field', () => {
    expect(withSauce('{"order_id":"1","n":1.0}')).toBe('{"order_id":"1","n":1.0,"sauce":"bbq"}')
  })

  it('replaces what the field held, of whatever kind', () => {
    expect(withSauce('{"order_id":"1","sauce":{"a":[1.0]},"n":2.0}')).toBe('{"order_id":"1","sauce":"bbq","n":2.0}')
  })

  it('changes nothing but its own field, for any JSON', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), orderId, (fields, order_id) => {
        const record: Record<string, unknown> = { ...fields, order_id }
        delete record['pizza_id']
        const text = JSON.stringify(record)
        expect(JSON.parse(withSauce(text))).toEqual({ ...(JSON.parse(text) as object), sauce: 'bbq' })
      }),
    )
  })
})
