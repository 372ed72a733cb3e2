// Command clients drives a v1 server with influxdb1-client/v2: every assertion
// is on a value read back.
//
// The environment (see ../README.md) names the server. Each check prints one
// `ok`/`FAIL` line; the program fails when one of them does.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	client "github.com/influxdata/influxdb1-client/v2"
)

const (
	database = "go"
	// 2023-04-24T17:56:13.123456789Z
	start = int64(1682358973123456789)
)

var (
	base       = os.Getenv("V1_URL")
	token      = os.Getenv("V1_TOKEN")
	user       = os.Getenv("V1_USER")
	profile    = os.Getenv("V1_PROFILE")
	shim       = profile != "influxd"
	serverless = profile == "serverless"
	failures   = 0
)

// fail ends the running check.
type fail string

func check(name string, body func()) {
	defer func() {
		if problem := recover(); problem != nil {
			failures++
			if _, ours := problem.(fail); !ours {
				problem = fmt.Sprintf("%v at %s", problem, debug.Stack())
			}
			fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(fmt.Sprint(problem), "\n", " "))
			return
		}
		fmt.Println("ok " + name)
	}()
	body()
}

func must[T any](value T, err error) T {
	done(err)
	return value
}

func done(err error) {
	if err != nil {
		panic(fail("unexpected error: " + err.Error()))
	}
}

func equal(got, want any) {
	if !reflect.DeepEqual(got, want) {
		panic(fail(fmt.Sprintf("got %#v, want %#v", got, want)))
	}
}

// rejected expects an error whose text matches the pattern.
func rejected(err error, pattern string) {
	if err == nil {
		panic(fail("it was accepted, want an error like " + pattern))
	}
	if !regexp.MustCompile("(?s)" + pattern).MatchString(err.Error()) {
		panic(fail(fmt.Sprintf("got error %q, want one like %q", err, pattern)))
	}
}

func connect(config client.HTTPConfig) client.Client {
	config.Timeout = 20 * time.Second
	return must(client.NewHTTPClient(config))
}

func point(name string, tags map[string]string, fields map[string]any, ns int64) *client.Point {
	return must(client.NewPoint(name, tags, fields, time.Unix(0, ns)))
}

func write(c client.Client, config client.BatchPointsConfig, points ...*client.Point) error {
	if config.Database == "" {
		config.Database = database
	}
	batch := must(client.NewBatchPoints(config))
	batch.AddPoints(points)
	return c.Write(batch)
}

// values runs a query of one statement and gives the rows of its only series.
func values(c client.Client, query client.Query) [][]any {
	response := must(c.Query(query))
	done(response.Error())
	equal(len(response.Results), 1)
	equal(len(response.Results[0].Series), 1)
	return response.Results[0].Series[0].Values
}

func number(n int64) json.Number {
	return json.Number(fmt.Sprint(n))
}

func main() {
	basic := connect(client.HTTPConfig{Addr: base, Username: user, Password: token})

	check("Ping gives a version, and takes a timeout", func() {
		_, version, err := basic.Ping(0)
		done(err)
		equal(regexp.MustCompile(`^v?\d+\.`).MatchString(version), true)
		_, again, err := basic.Ping(5 * time.Second)
		done(err)
		equal(again, version)
	})

	check("Write: all field types, tags and escapes come back as written", func() {
		done(write(basic, client.BatchPointsConfig{}, point("types, all",
			map[string]string{"host name": "a=b, c"},
			map[string]any{"f": 1.5, "i": int64(-9007199254740993), "b": true, "s": `say "hi" \ ü`}, start)))
		equal(values(basic, client.NewQuery(`SELECT b, f, "host name", i, s FROM "types, all"`, database, "ns")), [][]any{
			{number(start), true, json.Number("1.5"), "a=b, c", json.Number("-9007199254740993"), `say "hi" \ ü`},
		})
	})

	check("Write: every precision keeps its meaning", func() {
		for unit, factor := range map[string]int64{
			// No microseconds: this library says `us` and then writes nanoseconds.
			"ns": 1, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
		} {
			done(write(basic, client.BatchPointsConfig{Precision: unit},
				point("units", map[string]string{"unit": unit}, map[string]any{"v": int64(1)}, start)))
			equal(values(basic, client.NewQueryWithParameters("SELECT v FROM units WHERE unit = $unit", database, "ns",
				map[string]any{"unit": unit})), [][]any{{number(start / factor * factor), number(1)}})
		}
	})

	check("Write in gzip", func() {
		zipped := connect(client.HTTPConfig{Addr: base, Username: user, Password: token, WriteEncoding: client.GzipEncoding})
		var points []*client.Point
		for i := int64(0); i < 1000; i++ {
			points = append(points, point("zipped", nil, map[string]any{"v": i}, start+i))
		}
		done(write(zipped, client.BatchPointsConfig{}, points...))
		rows := values(basic, client.NewQuery("SELECT v FROM zipped", database, "ns"))
		equal(len(rows), 1000)
		for i, row := range rows {
			equal(row, []any{number(start + int64(i)), number(int64(i))})
		}
	})

	check("Write without a time is stamped by the server", func() {
		before := time.Now().Add(-time.Second)
		done(write(basic, client.BatchPointsConfig{}, must(client.NewPoint("now", nil, map[string]any{"v": 1.5}))))
		at := must(time.Parse(time.RFC3339Nano, values(basic, client.NewQuery("SELECT v FROM now", database, ""))[0][0].(string)))
		equal(at.After(before) && at.Before(time.Now().Add(time.Second)), true)
	})

	check("Query without a precision: RFC 3339 with nanoseconds", func() {
		equal(values(basic, client.NewQuery(`SELECT f FROM "types, all"`, database, "")),
			[][]any{{"2023-04-24T17:56:13.123456789Z", json.Number("1.5")}})
	})

	check("Query: series with tags, several statements, nothing found", func() {
		for n, host := range []string{"a", "b"} {
			for i := 0; i < 3; i++ {
				done(write(basic, client.BatchPointsConfig{}, point("cpu", map[string]string{"host": host},
					map[string]any{"load": float64(i + n)}, start+int64(i)*1e9)))
			}
		}
		response := must(basic.Query(client.NewQuery(
			"SELECT mean(load) FROM cpu GROUP BY host; SELECT load FROM cpu WHERE host = 'nobody'; SELECT sum(load) FROM cpu",
			database, "s")))
		done(response.Error())
		equal(len(response.Results), 3)
		first := response.Results[0].Series
		equal(len(first), 2)
		for n, host := range []string{"a", "b"} {
			equal(first[n].Name, "cpu")
			equal(first[n].Tags, map[string]string{"host": host})
			equal(first[n].Columns, []string{"time", "mean"})
			equal(first[n].Values, [][]any{{number(0), number(int64(1 + n))}})
		}
		equal(response.Results[1].StatementId, 1)
		equal(len(response.Results[1].Series), 0)
		equal(response.Results[2].Series[0].Values, [][]any{{number(0), number(9)}})
	})

	check("Query: typed parameters", func() {
		query := "SELECT load FROM cpu WHERE host = $host AND load > $load AND time >= $from"
		rows := values(basic, client.NewQueryWithParameters(query, database, "s", client.Params{
			"host": "a", "load": 0.5, "from": "2023-04-24T17:56:15Z",
		}))
		equal(rows, [][]any{{number(1682358975), number(2)}})
		if shim { // 1.6 doesn't know them yet
			rows = values(basic, client.NewQueryWithParameters(
				"SELECT max($field) FROM $from WHERE host =~ $host AND time > $to - $span", database, "s", client.Params{
					"field": client.Identifier("load"), "from": client.Identifier("cpu"), "host": client.RegexValue("^[b]$"),
					"to": client.TimeValue(time.Unix(0, start+2e9)), "span": client.DurationValue(time.Minute),
				}))
			equal(rows, [][]any{{number(1682358975), number(3)}})
		}
	})

	check("Query: an attempt to inject through a parameter finds nothing", func() {
		response := must(basic.Query(client.NewQueryWithParameters("SELECT load FROM cpu WHERE host = $host", database, "s",
			map[string]any{"host": "a' OR host = 'b"})))
		done(response.Error())
		equal(len(response.Results[0].Series), 0)
	})

	check("Query: parameters null", func() {
		equal(values(basic, client.Query{Command: "SELECT count(load) FROM cpu", Database: database, Precision: "s"}),
			[][]any{{number(0), number(6)}})
	})

	check("QueryAsChunk: every row, in order", func() {
		query := client.NewQuery("SELECT v FROM zipped", database, "ns")
		query.ChunkSize = 300
		chunks := must(basic.QueryAsChunk(query))
		var sizes []int
		var next int64
		for {
			response, err := chunks.NextResponse()
			if errors.Is(err, io.EOF) {
				break
			}
			done(err)
			done(response.Error())
			rows := response.Results[0].Series[0].Values
			sizes = append(sizes, len(rows))
			for _, row := range rows {
				equal(row, []any{number(start + next), number(next)})
				next++
			}
		}
		equal(next, int64(1000))
		if serverless {
			equal(sizes, []int{1000})
		} else {
			equal(sizes, []int{300, 300, 300, 100})
		}
	})

	check("Query with Chunked", func() {
		query := client.NewQuery("SELECT v FROM zipped", database, "ns")
		query.Chunked, query.ChunkSize = true, 400
		response := must(basic.Query(query))
		done(response.Error())
		rows := 0
		for _, result := range response.Results {
			for _, series := range result.Series {
				rows += len(series.Values)
			}
		}
		equal(rows, 1000)
	})

	check("A retention policy is honoured in write and in query", func() {
		done(write(basic, client.BatchPointsConfig{RetentionPolicy: "weekly", WriteConsistency: "any"},
			point("kept", nil, map[string]any{"v": int64(7)}, start)))
		equal(values(basic, client.NewQueryWithRP("SELECT v FROM kept", database, "weekly", "ns")),
			[][]any{{number(start), number(7)}})
		response := must(basic.Query(client.NewQuery("SELECT v FROM kept", database, "ns")))
		done(response.Error())
		equal(len(response.Results[0].Series), 0)
	})

	check("SHOW DATABASES and SHOW MEASUREMENTS", func() {
		found := false
		for _, row := range values(basic, client.NewQuery("SHOW DATABASES", "", "")) {
			found = found || row[0] == database
		}
		equal(found, true)
		var names []string
		for _, row := range values(basic, client.NewQuery("SHOW MEASUREMENTS", database, "")) {
			if name := row[0].(string); name == "cpu" || name == "types, all" || name == "zipped" {
				names = append(names, name)
			}
		}
		equal(names, []string{"cpu", "types, all", "zipped"})
	})

	check("A query that does not parse is an error in 1.x's words", func() {
		response, err := basic.Query(client.NewQuery("SELECT FROM cpu", database, ""))
		if err == nil {
			err = response.Error()
		}
		rejected(err, "^error parsing query: found FROM, expected")
	})

	check("Writing another type is a partial write", func() {
		done(write(basic, client.BatchPointsConfig{}, point("clash", nil, map[string]any{"v": 1.5}, start)))
		err := write(basic, client.BatchPointsConfig{},
			point("clash", nil, map[string]any{"v": "text"}, start+1), point("clash", nil, map[string]any{"v": 2.5}, start+2))
		rejected(err, `partial write: field type conflict: input field .*v.* on measurement .*clash.* dropped=1`)
		equal(values(basic, client.NewQuery("SELECT v FROM clash", database, "ns")),
			[][]any{{number(start), json.Number("1.5")}, {number(start + 2), json.Number("2.5")}})
	})

	check("A wrong password is refused", func() {
		wrong := connect(client.HTTPConfig{Addr: base, Username: user, Password: "wrong"})
		rejected(write(wrong, client.BatchPointsConfig{}, point("cpu", nil, map[string]any{"load": 9.5}, start)), `"error"`)
		response, err := wrong.Query(client.NewQuery("SELECT load FROM cpu", database, ""))
		if err == nil {
			err = response.Error()
		}
		rejected(err, "auth|credential|token")
		equal(values(basic, client.NewQuery("SELECT max(load) FROM cpu", database, "s"))[0][1], any(number(3)))
	})

	check("u and p in the URL, for write and query", func() {
		address := must(url.Parse(base))
		address.RawQuery = url.Values{"u": {user}, "p": {token}}.Encode()
		inURL := connect(client.HTTPConfig{Addr: address.String()})
		done(write(inURL, client.BatchPointsConfig{Database: database + "_query"},
			point("auth", nil, map[string]any{"v": int64(1)}, start)))
		equal(values(inURL, client.NewQuery("SELECT v FROM auth", database+"_query", "ns")), [][]any{{number(start), number(1)}})
	})

	if shim {
		check("Over https, with the certificate verified", func() {
			pool := x509.NewCertPool()
			equal(pool.AppendCertsFromPEM(must(os.ReadFile(os.Getenv("V1_CA")))), true)
			secure := connect(client.HTTPConfig{
				Addr: os.Getenv("V1_TLS_URL"), Username: user, Password: token, TLSConfig: &tls.Config{RootCAs: pool},
			})
			done(write(secure, client.BatchPointsConfig{}, point("tls", nil, map[string]any{"v": int64(1)}, start)))
			equal(values(secure, client.NewQuery("SELECT v FROM tls", database, "ns")), [][]any{{number(start), number(1)}})
		})

		check("CREATE DATABASE is refused, and says so", func() {
			response, err := basic.Query(client.NewQuery(`CREATE DATABASE "made"`, "", ""))
			done(err)
			rejected(response.Error(), "CREATE")
			for _, row := range values(basic, client.NewQuery("SHOW DATABASES", "", "")) {
				equal(row[0] != "made", true)
			}
		})
	}

	if failures > 0 {
		os.Exit(1)
	}
}
