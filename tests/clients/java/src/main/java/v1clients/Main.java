package v1clients;

import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import okhttp3.HttpUrl;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import org.influxdb.BatchOptions;
import org.influxdb.InfluxDB;
import org.influxdb.InfluxDBException;
import org.influxdb.InfluxDBFactory;
import org.influxdb.annotation.Column;
import org.influxdb.annotation.Measurement;
import org.influxdb.dto.BatchPoints;
import org.influxdb.dto.BoundParameterQuery.QueryBuilder;
import org.influxdb.dto.Point;
import org.influxdb.dto.Pong;
import org.influxdb.dto.Query;
import org.influxdb.dto.QueryResult;
import org.influxdb.impl.InfluxDBResultMapper;

/**
 * influxdb-java against a v1 server: every assertion is on a value read back.
 *
 * <p>The environment (see ../README.md) names the server. Each check prints one {@code ok}/{@code
 * FAIL} line; the program fails when one of them does.
 */
public final class Main {
  private static final String DB = "java";

  /** 2023-04-24T17:56:13.123456789Z. */
  private static final long START = 1682358973123456789L;

  private static final String URL = System.getenv("V1_URL");
  private static final String USER = System.getenv("V1_USER");
  private static final String TOKEN = System.getenv("V1_TOKEN");
  private static final String PROFILE = System.getenv("V1_PROFILE");
  private static final boolean SHIM = !PROFILE.equals("influxd");
  private static final boolean SERVERLESS = PROFILE.equals("serverless");

  private static int failures = 0;

  private Main() {}

  private interface Body {
    void run() throws Exception;
  }

  private static void check(String name, Body body) {
    try {
      body.run();
      System.out.println("ok " + name);
    } catch (Throwable problem) {
      failures++;
      String where = "";
      for (StackTraceElement frame : problem.getStackTrace()) {
        if (frame.getFileName() != null && frame.getFileName().equals("Main.java") && frame.getMethodName().startsWith("lambda$")) {
          where = "line " + frame.getLineNumber() + ": ";
          break;
        }
      }
      System.out.println("FAIL " + name + ": " + where + String.valueOf(problem).replace('\n', ' '));
    }
  }

  private static void equal(Object got, Object want) {
    if (!Objects.equals(got, want)) {
      throw new AssertionError("got " + got + ", want " + want);
    }
  }

  private static InfluxDBException rejected(Body body, String pattern) throws Exception {
    try {
      body.run();
    } catch (InfluxDBException error) {
      if (!Pattern.compile(pattern, Pattern.DOTALL).matcher(String.valueOf(error.getMessage())).find()) {
        throw new AssertionError("got error " + error.getMessage() + ", want one like " + pattern);
      }
      return error;
    }
    throw new AssertionError("it was accepted, want an error like " + pattern);
  }

  /** The rows of a query whose only statement gave one series. */
  private static List<List<Object>> values(InfluxDB client, Query query, TimeUnit unit) {
    QueryResult result = unit == null ? client.query(query) : client.query(query, unit);
    if (result.hasError()) {
      throw new AssertionError("unexpected error: " + result.getError());
    }
    equal(result.getResults().size(), 1);
    if (result.getResults().get(0).hasError()) {
      throw new AssertionError("unexpected error: " + result.getResults().get(0).getError());
    }
    if (result.getResults().get(0).getSeries() == null) {
      return List.of();
    }
    equal(result.getResults().get(0).getSeries().size(), 1);
    // MessagePack's small integers arrive as Integer, the others as Long.
    List<List<Object>> rows = new ArrayList<>();
    for (List<Object> row : result.getResults().get(0).getSeries().get(0).getValues()) {
      List<Object> cells = new ArrayList<>();
      for (Object cell : row) {
        cells.add(cell instanceof Integer small ? Long.valueOf(small) : cell);
      }
      rows.add(cells);
    }
    return rows;
  }

  private static List<List<Object>> values(InfluxDB client, String query) {
    return values(client, new Query(query, DB), TimeUnit.SECONDS);
  }

  private static Point point(String measurement, long ns, Object value) {
    Point.Builder builder = Point.measurement(measurement).time(ns, TimeUnit.NANOSECONDS);
    return (value instanceof String text
            ? builder.addField("v", text)
            : value instanceof Long whole ? builder.addField("v", whole) : builder.addField("v", (Double) value))
        .build();
  }

  @Measurement(name = "cpu")
  public static final class Cpu {
    @Column(name = "time")
    Instant time;

    @Column(name = "host", tag = true)
    String host;

    @Column(name = "load")
    Double load;
  }

  public static void main(String[] args) throws Exception {
    InfluxDB basic = InfluxDBFactory.connect(URL, USER, TOKEN);
    basic.setDatabase(DB);
    InfluxDB packed =
        InfluxDBFactory.connect(URL, USER, TOKEN, new OkHttpClient.Builder(), InfluxDB.ResponseFormat.MSGPACK);
    packed.setDatabase(DB);

    check("ping and version", () -> {
      Pong pong = basic.ping();
      equal(pong.isGood(), true);
      equal(Pattern.matches("v?\\d+\\..*", pong.getVersion()), true);
      equal(basic.version(), pong.getVersion());
    });

    check("write a point: all field types, tags and escapes come back as written", () -> {
      basic.write(
          Point.measurement("types, all")
              .time(START, TimeUnit.NANOSECONDS)
              .tag("host name", "a=b, c")
              .addField("f", 1.5)
              .addField("i", -9007199254740993L)
              .addField("b", true)
              .addField("s", "say \"hi\" \\ ü")
              .build());
      // As MessagePack, because this library reads every JSON number as a double.
      equal(
          values(packed, new Query("SELECT b, f, \"host name\", i, s FROM \"types, all\"", DB), TimeUnit.NANOSECONDS),
          List.of(List.of(START, true, 1.5, "a=b, c", -9007199254740993L, "say \"hi\" \\ ü")));
    });

    check("JSON without a unit: RFC 3339 with nanoseconds", () ->
        equal(
            values(basic, new Query("SELECT f, s FROM \"types, all\"", DB), null),
            List.of(List.of("2023-04-24T17:56:13.123456789Z", 1.5, "say \"hi\" \\ ü"))));

    check("MessagePack without a unit: the time type, in nanoseconds", () ->
        equal(
            values(packed, new Query("SELECT f FROM \"types, all\"", DB), null), List.of(List.of(START, 1.5))));

    check("BatchPoints: every precision keeps its meaning", () -> {
      Map<TimeUnit, Long> units =
          Map.of(
              TimeUnit.NANOSECONDS, 1L,
              TimeUnit.MICROSECONDS, 1_000L,
              TimeUnit.MILLISECONDS, 1_000_000L,
              TimeUnit.SECONDS, 1_000_000_000L,
              TimeUnit.MINUTES, 60_000_000_000L,
              TimeUnit.HOURS, 3_600_000_000_000L);
      for (Map.Entry<TimeUnit, Long> unit : units.entrySet()) {
        BatchPoints batch =
            BatchPoints.database(DB)
                .precision(unit.getKey())
                .consistency(InfluxDB.ConsistencyLevel.ANY)
                .tag("unit", unit.getKey().name())
                .point(point("units", START, 1L))
                .build();
        if (unit.getKey() == TimeUnit.MICROSECONDS && SERVERLESS) {
          rejected(() -> basic.write(batch), "unknown variant `u`, expected one of `s`, `ms`, `us`, `ns`");
          continue;
        }
        basic.write(batch);
        equal(
            values(packed, new Query("SELECT v FROM units WHERE unit = '" + unit.getKey() + "'", DB), TimeUnit.NANOSECONDS),
            List.of(List.of(START / unit.getValue() * unit.getValue(), 1L)));
      }
    });

    check("enableBatch and gzip: everything arrives", () -> {
      InfluxDB batching = InfluxDBFactory.connect(URL, USER, TOKEN);
      List<String> problems = new CopyOnWriteArrayList<>();
      batching.enableGzip();
      batching.setDatabase(DB);
      batching.enableBatch(
          BatchOptions.DEFAULTS.actions(100).flushDuration(50).exceptionHandler((points, error) -> problems.add(error.toString())));
      for (long i = 0; i < 1050; i++) {
        batching.write(point("batched", START + i, i));
      }
      batching.close();
      // close() writes what is queued, but doesn't wait for the batch that the library's own thread is sending at that moment.
      List<List<Object>> rows = List.of();
      for (int tries = 0; tries < 100 && rows.size() < 1050; tries++) {
        Thread.sleep(tries == 0 ? 0 : 50);
        rows = values(packed, new Query("SELECT v FROM batched", DB), TimeUnit.NANOSECONDS);
      }
      equal(problems, List.of());
      equal(rows.size(), 1050);
      for (int i = 0; i < rows.size(); i++) {
        equal(rows.get(i), List.of(START + i, (long) i));
      }
    });

    check("write records as text, in seconds", () -> {
      basic.write(
          DB, "autogen", InfluxDB.ConsistencyLevel.ONE, TimeUnit.SECONDS,
          List.of(
              "cpu,host=a load=0 1682358973", "cpu,host=a load=1 1682358974", "cpu,host=a load=2 1682358975",
              "cpu,host=b load=1 1682358973", "cpu,host=b load=2 1682358974", "cpu,host=b load=3 1682358975"));
      equal(values(basic, "SELECT count(load), sum(load) FROM cpu"), List.of(List.of(0.0, 6.0, 9.0)));
    });

    check("query: series with tags, several statements, nothing found", () -> {
      for (InfluxDB client : List.of(basic, packed)) {
        QueryResult result =
            client.query(
                new Query(
                    "SELECT mean(load) FROM cpu GROUP BY host; SELECT load FROM cpu WHERE host = 'nobody'", DB));
        equal(result.getResults().size(), 2);
        List<QueryResult.Series> series = result.getResults().get(0).getSeries();
        equal(series.size(), 2);
        equal(series.get(0).getTags(), Map.of("host", "a"));
        equal(series.get(1).getTags(), Map.of("host", "b"));
        equal(series.get(1).getColumns(), List.of("time", "mean"));
        equal(((Number) series.get(1).getValues().get(0).get(1)).doubleValue(), 2.0);
        equal(result.getResults().get(1).getSeries(), null);
      }
    });

    check("query: bound parameters", () -> {
      Query query =
          QueryBuilder.newQuery("SELECT load FROM cpu WHERE host = $host AND load > $load AND time >= $from")
              .forDatabase(DB)
              .bind("host", "b")
              .bind("load", 1.5)
              .bind("from", "2023-04-24T17:56:15Z")
              .create();
      equal(values(basic, query, TimeUnit.SECONDS), List.of(List.of(1682358975.0, 3.0)));
      Query hostile =
          QueryBuilder.newQuery("SELECT load FROM cpu WHERE host = $host")
              .forDatabase(DB).bind("host", "b' OR host = 'a").create();
      equal(values(basic, hostile, TimeUnit.SECONDS), List.of());
    });

    check("query by POST", () ->
        equal(values(basic, new Query("SELECT count(load) FROM cpu", DB, true), TimeUnit.SECONDS), List.of(List.of(0.0, 6.0))));

    check("query in chunks: every row, in order, JSON and MessagePack", () -> {
      for (InfluxDB client : List.of(basic, packed)) {
        CompletableFuture<Void> end = new CompletableFuture<>();
        AtomicLong rows = new AtomicLong();
        List<Integer> sizes = new ArrayList<>();
        client.query(
            new Query("SELECT v FROM batched", DB), 400,
            (cancellable, chunk) -> {
              try {
                if ("DONE".equals(chunk.getError())) {
                  return; // how this library says that the stream has ended
                }
                equal(chunk.getError(), null);
                List<List<Object>> values = chunk.getResults().get(0).getSeries().get(0).getValues();
                sizes.add(values.size());
                for (List<Object> row : values) {
                  equal(((Number) row.get(1)).longValue(), rows.getAndIncrement());
                }
              } catch (Throwable problem) {
                end.completeExceptionally(problem);
              }
            },
            () -> end.complete(null),
            end::completeExceptionally);
        end.get(20, TimeUnit.SECONDS);
        equal(rows.get(), 1050L);
        equal(sizes, SERVERLESS ? List.of(1050) : List.of(400, 400, 250));
      }
    });

    check("rows map to objects", () -> {
      QueryResult result = basic.query(new Query("SELECT * FROM cpu WHERE host = 'b' ORDER BY time DESC LIMIT 1", DB));
      List<Cpu> rows = new InfluxDBResultMapper().toPOJO(result, Cpu.class);
      equal(rows.size(), 1);
      equal(rows.get(0).time, Instant.parse("2023-04-24T17:56:15Z"));
      equal(rows.get(0).host, "b");
      equal(rows.get(0).load, 3.0);
    });

    check("a retention policy is honoured in write and in query", () -> {
      basic.write(DB, "weekly", point("kept", START, 7L));
      equal(
          values(packed, new Query("SELECT v FROM " + DB + ".weekly.kept", DB), TimeUnit.NANOSECONDS),
          List.of(List.of(START, 7L)));
      equal(values(basic, "SELECT v FROM kept"), List.of());
    });

    check("SHOW DATABASES, MEASUREMENTS and FIELD KEYS", () -> {
      boolean found = values(basic, "SHOW DATABASES").contains(List.<Object>of(DB));
      equal(found, true);
      List<List<Object>> names = values(basic, "SHOW MEASUREMENTS");
      names.retainAll(List.of(List.<Object>of("batched"), List.<Object>of("cpu"), List.<Object>of("types, all")));
      equal(names, List.of(List.of("batched"), List.of("cpu"), List.of("types, all")));
      equal(values(basic, "SHOW FIELD KEYS FROM cpu"), List.of(List.of("load", "float")));
    });

    check("a query that does not parse is an error in 1.x's words", () ->
        rejected(() -> basic.query(new Query("SELECT FROM cpu", DB)), "^error parsing query: found FROM, expected"));

    // Errors are JSON in the serverless profile, whatever was asked for; this library can't read them then.
    String parsing = SERVERLESS ? "" : "error parsing query: found FROM, expected";
    check("the same, asked in MessagePack", () -> rejected(() -> packed.query(new Query("SELECT FROM cpu", DB)), parsing));

    check("writing another type is a conflict that is not retried", () -> {
      basic.write(point("clash", START, 1.5));
      InfluxDBException error =
          rejected(() -> basic.write(point("clash", START + 1, "text")), "partial write: field type conflict.*dropped=1");
      equal(error.isRetryWorth(), false);
      equal(error.getClass().getSimpleName(), "FieldTypeConflictException");
      error = rejected(() -> packed.write(point("clash", START + 1, "text")), SERVERLESS ? "" : "partial write: field type conflict");
      equal(error.isRetryWorth(), SERVERLESS);
      equal(values(basic, "SELECT v FROM clash").size(), 1);
    });

    check("a wrong password is refused and not retried", () -> {
      InfluxDB wrong = InfluxDBFactory.connect(URL, USER, "wrong");
      wrong.setDatabase(DB);
      equal(rejected(() -> wrong.write(point("cpu", START, 9.5)), "authorization failed").isRetryWorth(), false);
      equal(rejected(() -> wrong.query(new Query("SELECT load FROM cpu", DB)), "authorization failed").isRetryWorth(), false);
    });

    check("u and p in the URL, for write and query", () -> {
      OkHttpClient.Builder http =
          new OkHttpClient.Builder()
              .addInterceptor(chain -> {
                Request request = chain.request();
                HttpUrl url =
                    request.url().newBuilder().addQueryParameter("u", USER).addQueryParameter("p", TOKEN).build();
                return chain.proceed(request.newBuilder().url(url).build());
              });
      roundTrip(InfluxDBFactory.connect(URL, http), DB + "_query");
    });

    if (SHIM) {
      check("Token and Bearer, for write and query", () -> {
        for (String scheme : List.of("Token ", "Bearer ")) {
          OkHttpClient.Builder http =
              new OkHttpClient.Builder()
                  .addInterceptor(chain ->
                      chain.proceed(chain.request().newBuilder().header("Authorization", scheme + TOKEN).build()));
          roundTrip(InfluxDBFactory.connect(URL, http), DB + "_token");
        }
      });

      check("over https, with the certificate verified", () -> {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (FileInputStream pem = new FileInputStream(System.getenv("V1_CA"))) {
          store.setCertificateEntry("test", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        OkHttpClient.Builder http =
            new OkHttpClient.Builder()
                .sslSocketFactory(context.getSocketFactory(), (X509TrustManager) trust.getTrustManagers()[0]);
        roundTrip(InfluxDBFactory.connect(System.getenv("V1_TLS_URL"), USER, TOKEN, http), DB);
      });

      check("createDatabase is refused, and did nothing", () -> {
        QueryResult[] reply = new QueryResult[1];
        Query create = new Query("CREATE DATABASE \"made\"", null, true);
        if (SERVERLESS) {
          rejected(() -> basic.query(create), "CREATE");
        } else {
          reply[0] = basic.query(create);
          equal(reply[0].getResults().get(0).getError().contains("CREATE"), true);
        }
        equal(values(basic, "SHOW DATABASES").contains(List.<Object>of("made")), false);
      });
    }

    basic.close();
    packed.close();
    System.exit(failures == 0 ? 0 : 1);
  }

  private static void roundTrip(InfluxDB client, String database) {
    client.setDatabase(database);
    client.write(Point.measurement("auth").time(1000, TimeUnit.NANOSECONDS).addField("v", 1L).build());
    equal(values(client, new Query("SELECT v FROM auth", database), TimeUnit.NANOSECONDS), List.of(List.of(1000.0, 1.0)));
    client.close();
  }
}
