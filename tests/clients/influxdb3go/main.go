// Command influxdb3go drives influxdb3-go, a client of InfluxDB 3, against the
// shim before an embedded store: writes to v3's and v2's own paths and InfluxQL
// over Arrow Flight, with grpc-go.
//
// The environment (see ../README.md) names the server. Each check prints one
// `ok`/`FAIL` line; the program fails when one of them does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/InfluxCommunity/influxdb3-go/v2/influxdb3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	database = "influxdb3go"
	// 2023-04-24T17:56:13.123456789Z
	start = int64(1682358973123456789)
)

var (
	token    = os.Getenv("V1_TOKEN")
	failures = 0
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
	if err != nil {
		panic(fail(err.Error()))
	}
	return value
}

func done(err error) {
	if err != nil {
		panic(fail(err.Error()))
	}
}

func equal(got, want any) {
	if !reflect.DeepEqual(got, want) {
		panic(fail(fmt.Sprintf("got %#v, want %#v", got, want)))
	}
}

func connect(url, token string) *influxdb3.Client {
	options := influxdb3.DefaultWriteOptions
	// v3's path makes databases; v2's doesn't, as v2 doesn't.
	options.UseV2Api = false
	config := influxdb3.ClientConfig{Host: url, Token: token, Database: database, Timeout: 30 * time.Second, WriteOptions: &options}
	if strings.HasPrefix(url, "https") {
		config.SSLRootsFilePath = os.Getenv("V1_CA")
	}
	return must(influxdb3.New(config))
}

// rows asks in InfluxQL and reads all of the answer.
func rows(client *influxdb3.Client, query string, parameters influxdb3.QueryParameters) ([]map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	iterator, err := client.QueryWithParameters(ctx, query, parameters, influxdb3.WithQueryType(influxdb3.InfluxQL))
	if err != nil {
		return nil, err
	}
	var all []map[string]any
	for iterator.Next() {
		row := map[string]any{}
		for name, value := range iterator.Value() {
			if at, ok := value.(time.Time); ok {
				value = at.UnixNano()
			}
			row[name] = value
		}
		all = append(all, row)
	}
	return all, iterator.Err()
}

// refused expects an error of gRPC's code whose text has the words.
func refused(client *influxdb3.Client, query string, code codes.Code, words string) {
	got, err := rows(client, query, nil)
	if err == nil {
		panic(fail(fmt.Sprintf("%s was answered: %v", query, got)))
	}
	said, _ := status.FromError(err)
	if said.Code() != code || !strings.Contains(said.Message(), words) {
		panic(fail(fmt.Sprintf("%s: got %v %q, want %v %q", query, said.Code(), err.Error(), code, words)))
	}
}

func main() {
	client := connect(os.Getenv("V1_URL"), token)
	ctx := context.Background()

	check("write to v3's path, and to v2's", func() {
		point := influxdb3.NewPoint("types", map[string]string{"host name": "a=b, c"},
			map[string]any{"f": 1.5, "i": int64(-1 << 62), "u": uint64(1<<64 - 1), "b": true, "s": "say \"hi\" \\ ü"}, time.Unix(0, start))
		done(client.WritePoints(ctx, []*influxdb3.Point{point}))
		point.SetTag("host name", "d")
		done(client.WritePoints(ctx, []*influxdb3.Point{point}, influxdb3.WithUseV2Api(true), influxdb3.WithGzipThreshold(1)))
	})
	check("InfluxQL over Flight: all types come back as written", func() {
		want := map[string]any{"iox::measurement": "types", "time": start, "host name": "a=b, c",
			"f": 1.5, "i": int64(-1 << 62), "u": uint64(1<<64 - 1), "b": true, "s": "say \"hi\" \\ ü"}
		got := must(rows(client, `SELECT * FROM types WHERE "host name" = 'a=b, c'`, nil))
		equal(got, []map[string]any{want})
		want["host name"] = "d"
		got = must(rows(client, `SELECT * FROM types WHERE "host name" = $host`, influxdb3.QueryParameters{"host": "d"}))
		equal(got, []map[string]any{want})
	})
	check("InfluxQL over Flight: points know their tags and fields", func() {
		iterator := must(client.QueryPointValue(ctx, `SELECT * FROM types WHERE "host name" = 'd'`, influxdb3.WithQueryType(influxdb3.InfluxQL)))
		point := must(iterator.Next())
		host, _ := point.GetTag("host name")
		equal([]any{point.GetMeasurement(), host, point.Timestamp.UnixNano()}, []any{"types", "d", start})
		equal([]any{*point.GetDoubleField("f"), *point.GetIntegerField("i"), *point.GetUIntegerField("u"), *point.GetBooleanField("b"), *point.GetStringField("s")},
			[]any{1.5, int64(-1 << 62), uint64(1<<64 - 1), true, "say \"hi\" \\ ü"})
		if _, err := iterator.Next(); !errors.Is(err, influxdb3.Done) {
			panic(fail(fmt.Sprintf("more than one: %v", err)))
		}
	})
	check("write: every precision keeps its meaning", func() {
		units := map[influxdb3.Precision]int64{influxdb3.Nanosecond: 1, influxdb3.Microsecond: 1e3, influxdb3.Millisecond: 1e6, influxdb3.Second: 1e9}
		for unit, factor := range units {
			measurement := fmt.Sprintf("precision_%d", factor)
			done(client.Write(ctx, fmt.Appendf(nil, "%s v=1i %d", measurement, start/factor), influxdb3.WithPrecision(unit)))
			got := must(rows(client, "SELECT v FROM "+measurement, nil))
			equal(got[0]["time"], start/factor*factor)
		}
	})
	check("a partial write names its lines", func() {
		err := client.Write(ctx, []byte("partial v=1i 1\npartial\npartial v=3i 3"))
		var partial *influxdb3.PartialWriteError
		if !errors.As(err, &partial) {
			panic(fail(fmt.Sprintf("got %T %v", err, err)))
		}
		equal(len(partial.LineErrors), 1)
		equal(partial.LineErrors[0].LineNumber, 2)
		equal(len(must(rows(client, "SELECT v FROM partial", nil))), 2)
	})
	check("a hundred thousand rows, by ten at once over one connection", func() {
		const count = 10_000
		var lines strings.Builder
		for n := range count {
			fmt.Fprintf(&lines, "many v=%di %d\n", n, n)
		}
		done(client.Write(ctx, []byte(lines.String())))
		var group sync.WaitGroup
		errs := make([]error, 10)
		for index := range errs {
			group.Go(func() {
				got, err := rows(client, "SELECT v FROM many", nil)
				for n := range got {
					if got[n]["v"] != int64(n) {
						err = fmt.Errorf("row %d is %v", n, got[n])
						break
					}
				}
				if err == nil && len(got) != count {
					err = fmt.Errorf("%d rows", len(got))
				}
				errs[index] = err
			})
		}
		group.Wait()
		done(errors.Join(errs...))
	})
	check("what is wrong is said, and nobody reads what he may not", func() {
		refused(client, "SELECT FROM", codes.InvalidArgument, "error parsing query: found FROM")
		refused(client, "DROP MEASUREMENT partial", codes.InvalidArgument, "DROP")
		refused(connect(os.Getenv("V1_URL"), "wrong"), "SELECT v FROM partial", codes.Unauthenticated, "authorization failed")
		refused(connect(os.Getenv("V1_URL"), os.Getenv("V1_READER_TOKEN")), "SELECT v FROM partial", codes.PermissionDenied, "reader")
		err := connect(os.Getenv("V1_URL"), "wrong").Write(ctx, []byte("refused v=1i 1"))
		var server *influxdb3.ServerError
		if !errors.As(err, &server) {
			panic(fail(fmt.Sprintf("got %T %v", err, err)))
		}
		equal(server.StatusCode, 401)
		equal(len(must(rows(client, "SELECT v FROM refused", nil))), 0)
	})
	check("over https", func() {
		secure := connect(os.Getenv("V1_TLS_URL"), token)
		done(secure.Write(ctx, []byte("secure v=1i 1")))
		got := must(rows(secure, "SELECT v FROM secure", nil))
		equal(got, []map[string]any{{"iox::measurement": "secure", "time": int64(1), "v": int64(1)}})
	})

	if failures > 0 {
		os.Exit(1)
	}
}
