// node-influx against a v1 server: every assertion is on a value read back.
//
// The environment (see ../README.md) names the server. Each check prints one
// `ok`/`FAIL` line; the program fails when one of them does.
'use strict'

const assert = require('node:assert/strict')
const Influx = require('influx')

const { V1_HOST, V1_PORT, V1_TLS_PORT, V1_TOKEN, V1_USER, V1_PROFILE } = process.env
const SHIM = V1_PROFILE !== 'influxd'
const SERVERLESS = V1_PROFILE === 'serverless'
const DB = 'node'
const NS = 1682358973123456789n // 2023-04-24T17:56:13.123456789Z

// A promise that never settles would end the program early and quietly: only
// the last line says that all went well.
process.exitCode = 1
let failures = 0

async function check (name, body) {
  try {
    await body()
    console.log(`ok ${name}`)
  } catch (error) {
    failures += 1
    const line = /client\.js:(\d+)/.exec(error.stack ?? '')?.[1]
    console.log(`FAIL ${name}: line ${line}: ${error.message}`.replaceAll('\n', ' '))
  }
}

function client (options = {}) {
  return new Influx.InfluxDB({
    host: V1_HOST, port: Number(V1_PORT), database: DB, username: V1_USER, password: V1_TOKEN, ...options
  })
}

// Rows carry their time as a Date with nanoseconds; they compare as plain values.
function plain (rows) {
  return rows.map(row => {
    const copy = { ...row }
    if (copy.time) copy.time = copy.time.getNanoTime()
    return copy
  })
}

async function rejected (promise, pattern) {
  await assert.rejects(promise, error => {
    assert.match(error.message, pattern)
    return true
  })
}

async function main () {
  const influx = client({
    schema: [{
      measurement: 'typed',
      fields: {
        f: Influx.FieldType.FLOAT, i: Influx.FieldType.INTEGER, s: Influx.FieldType.STRING, b: Influx.FieldType.BOOLEAN
      },
      tags: ['host']
    }]
  })

  await check('ping: online, with a version', async () => {
    const [host] = await influx.ping(5000)
    assert.equal(host.online, true)
    assert.match(host.version, /^v?\d+\./)
  })

  await check('writePoints with its defaults (precision=n, empty rp) keeps nanoseconds and types', async () => {
    await influx.writePoints([{
      measurement: 'typed',
      tags: { host: 'a=b, c d' },
      fields: { f: 2, i: 9007199254740991, s: 'say "hi" \\ ü', b: false },
      timestamp: String(NS)
    }])
    const rows = await influx.query('SELECT * FROM typed')
    assert.deepEqual(plain(rows), [{
      time: String(NS), b: false, f: 2, host: 'a=b, c d', i: 9007199254740991, s: 'say "hi" \\ ü'
    }])
    const keys = await influx.query('SHOW FIELD KEYS FROM typed')
    assert.deepEqual(plain(keys), [
      { fieldKey: 'b', fieldType: 'boolean' }, { fieldKey: 'f', fieldType: 'float' },
      { fieldKey: 'i', fieldType: 'integer' }, { fieldKey: 's', fieldType: 'string' }
    ])
  })

  await check('writePoints: Date timestamps, every precision', async () => {
    const at = new Date('2023-04-24T17:56:13.123Z')
    const units = { n: 1n, ms: 10n ** 6n, s: 10n ** 9n, m: 60n * 10n ** 9n, h: 3600n * 10n ** 9n }
    for (const [precision, factor] of Object.entries(units)) {
      await influx.writePoints(
        [{ measurement: 'units', tags: { precision }, fields: { v: 1 }, timestamp: at }], { precision })
      const rows = await influx.query(`SELECT v FROM units WHERE precision = '${precision}'`)
      const ns = BigInt(at.getTime()) * 10n ** 6n
      assert.deepEqual(plain(rows), [{ time: String(ns / factor * factor), v: 1 }], precision)
    }
  })

  await check('writePoints: precision u', async () => {
    const write = influx.writePoints(
      [{ measurement: 'micro', fields: { v: 1 }, timestamp: '1682358973123456' }], { precision: 'u' })
    if (SERVERLESS) {
      await rejected(write, /A 400 .*unknown variant `u`, expected one of `s`, `ms`, `us`, `ns`/)
    } else {
      await write
      assert.deepEqual(plain(await influx.query('SELECT v FROM micro')), [{ time: '1682358973123456000', v: 1 }])
    }
  })

  await check('writePoints without a timestamp is stamped by the server', async () => {
    const before = Date.now()
    await influx.writeMeasurement('now', [{ fields: { v: 1 } }])
    const [row] = await influx.query('SELECT v FROM now')
    assert.ok(row.time.getTime() >= before - 1000 && row.time.getTime() <= Date.now() + 1000, row.time.toISOString())
  })

  await check('query: groupBy and groups', async () => {
    const points = ['a', 'b'].flatMap((host, n) => [0, 1, 2].map(i => ({
      measurement: 'cpu', tags: { host }, fields: { load: i + n }, timestamp: String(NS + BigInt(i) * 10n ** 9n)
    })))
    await influx.writePoints(points)
    const means = await influx.query('SELECT mean(load) FROM cpu GROUP BY host')
    assert.deepEqual(means.group({ host: 'b' }).map(row => row.mean), [2])
    assert.deepEqual(means.groups().map(group => [group.name, group.tags, group.rows.map(row => row.mean)]),
      [['cpu', { host: 'a' }, [1]], ['cpu', { host: 'b' }, [2]]])
    const windows = await influx.query(
      "SELECT sum(load) FROM cpu WHERE time >= '2023-04-24T17:56:00Z' AND time < '2023-04-24T17:56:30Z' " +
      'GROUP BY time(10s) fill(null)')
    assert.deepEqual(plain(windows), [
      { time: '1682358960000000000', sum: null }, { time: '1682358970000000000', sum: 9 },
      { time: '1682358980000000000', sum: null }
    ])
  })

  await check('query: precision asks for epochs', async () => {
    const raw = await influx.queryRaw("SELECT load FROM cpu WHERE host = 'a' LIMIT 1", { precision: 'ms' })
    assert.deepEqual(raw, {
      results: [{
        statement_id: 0, series: [{ name: 'cpu', columns: ['time', 'load'], values: [[1682358973123, 0]] }]
      }]
    })
    const rows = await influx.query("SELECT load FROM cpu WHERE host = 'a' LIMIT 1", { precision: 's' })
    assert.equal(rows[0].time.getTime(), 1682358973000)
  })

  await check('queryRaw without a precision: RFC 3339', async () => {
    const raw = await influx.queryRaw("SELECT load FROM cpu WHERE host = 'b' LIMIT 1")
    assert.deepEqual(raw.results[0].series[0].values, [['2023-04-24T17:56:13.123456789Z', 1]])
  })

  await check('query: placeholders are bound by the server', async () => {
    const query = 'SELECT load FROM cpu WHERE host = $host AND load > $load'
    const rows = await influx.query(query, { placeholders: { host: 'b', load: 1.5 } })
    assert.deepEqual(rows.map(row => row.load), [2, 3])
    const none = await influx.query(query, { placeholders: { host: "b' OR host = 'a", load: 0 } })
    assert.equal(none.length, 0)
  })

  await check('query: several statements', async () => {
    const [counts, sums] = await influx.query(['SELECT count(load) FROM cpu', 'SELECT sum(load) FROM cpu'])
    assert.deepEqual([counts[0].count, sums[0].sum], [6, 9])
  })

  await check('query: nothing found is an empty list', async () => {
    assert.equal((await influx.query("SELECT load FROM cpu WHERE host = 'nobody'")).length, 0)
  })

  await check('retentionPolicy is honoured in write and in query', async () => {
    const policy = { retentionPolicy: 'weekly' }
    await influx.writePoints([{ measurement: 'kept', fields: { v: 7 }, timestamp: String(NS) }], policy)
    assert.deepEqual(plain(await influx.query('SELECT v FROM kept', policy)), [{ time: String(NS), v: 7 }])
    assert.equal((await influx.query('SELECT v FROM kept')).length, 0)
  })

  await check('getMeasurements', async () => {
    const names = await influx.getMeasurements()
    const wanted = ['cpu', 'now', 'typed', 'units']
    assert.deepEqual(names.filter(name => wanted.includes(name)), wanted)
  })

  await check('getSeries', async () => {
    assert.deepEqual(await influx.getSeries({ measurement: 'cpu' }), ['cpu,host=a', 'cpu,host=b'])
  })

  await check('getDatabaseNames', async () => {
    const names = await influx.getDatabaseNames()
    assert.ok(names.includes(DB), String(names))
  })

  await check('showRetentionPolicies', async () => {
    const policies = await influx.showRetentionPolicies()
    const found = Object.fromEntries(policies.map(policy => [policy.name, policy.default]))
    assert.equal(found.autogen, true)
    assert.equal(found.weekly, false)
  })

  await check('a query that does not parse is an error in 1.x\'s words', async () => {
    await rejected(influx.query('SELECT FROM cpu'), /A 400 .*error parsing query: found FROM, expected/)
  })

  await check('writing another type is a partial write', async () => {
    const other = client()
    await other.writePoints([{ measurement: 'clash', fields: { v: 1.5 }, timestamp: String(NS) }])
    await rejected(
      other.writePoints([{ measurement: 'clash', fields: { v: 'text' }, timestamp: String(NS + 1n) }]),
      /A 400 .*partial write: field type conflict: input field .*v.* on measurement .*clash.* dropped=1/)
    assert.deepEqual((await other.query('SELECT v FROM clash')).map(row => row.v), [1.5])
  })

  await check('a wrong password is a 401', async () => {
    const wrong = client({ password: 'wrong' })
    await rejected(wrong.query('SELECT load FROM cpu'), /A 401 /)
    await rejected(wrong.writePoints([{ measurement: 'cpu', fields: { load: 9 } }]), /A 401 /)
  })

  if (SHIM) {
    await check('Token and Bearer, for write and query', async () => {
      // Without a user name the library sends no credentials of its own.
      for (const [n, Authorization] of [`Token ${V1_TOKEN}`, `Bearer ${V1_TOKEN}`].entries()) {
        const header = client({ database: `${DB}_token`, options: { headers: { Authorization } } })
        header._options.username = undefined
        const timestamp = String(NS + BigInt(n))
        await header.writePoints([{ measurement: 'auth', fields: { v: n }, timestamp }])
        assert.deepEqual(plain(await header.query(`SELECT v FROM auth WHERE v = ${n}`)), [{ time: timestamp, v: n }])
      }
    })

    await check('the documented snippet writes and reads, over https', async () => {
      // Its syntax error is repaired; the certificate of the test is its own authority.
      const snippet = new Influx.InfluxDB({
        host: V1_HOST,
        port: Number(V1_TLS_PORT),
        protocol: 'https',
        database: 'BUCKET_NAME',
        username: 'ignored',
        password: V1_TOKEN,
        options: { ca: require('node:fs').readFileSync(process.env.V1_CA) }
      })
      const retentionPolicy = 'RETENTION_POLICY'
      await snippet.writePoints(
        [{ measurement: 'home', tags: { room: 'den' }, fields: { temp: 72 }, timestamp: 1463683076 }],
        { retentionPolicy, precision: 's' })
      const rows = await snippet.query("SELECT * FROM home WHERE room = 'den'", { retentionPolicy })
      assert.deepEqual(plain(rows), [{ time: '1463683076000000000', room: 'den', temp: 72 }])
    })

    await check('createDatabase is refused, and says so', async () => {
      await rejected(influx.createDatabase('made'), SERVERLESS ? /A 400 .*CREATE/ : /CREATE/)
      assert.ok(!(await influx.getDatabaseNames()).includes('made'))
    })

    await check('dropMeasurement is refused, and the points stay', async () => {
      await rejected(influx.dropMeasurement('cpu'), /DROP/)
      assert.equal((await influx.query('SELECT count(load) FROM cpu'))[0].count, 6)
    })
  }

  process.exitCode = failures ? 1 : 0
}

main()
