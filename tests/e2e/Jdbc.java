// What a program on JDBC does, each check on a connection of its own, told as one line:
//
//     NAME <tab> what happened, steps apart by " | "
//
// A failure of the server is told as SQLSTATE and its hint.  URL, user and password are in the
// environment.  `test_jdbc.py` runs it and knows what is right; nothing is judged here.

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;

public class Jdbc {
    interface Step { Object run() throws Exception; }
    interface Check { void run(Connection c, List<String> told) throws Exception; }

    static final String DELETE = "delete from orders";
    static final Map<String, Check> CHECKS = new LinkedHashMap<>();
    static final Map<String, Properties> SETTINGS = new HashMap<>();

    public static void main(String[] names) throws Exception {
        checks();
        List<String> wanted = new ArrayList<>(names.length > 0 ? Arrays.asList(names) : CHECKS.keySet());
        // Those that somebody must decide run when they are named.
        wanted.removeIf(name -> names.length == 0 && name.startsWith("held"));
        for (String name : wanted) {
            List<String> told = new ArrayList<>();
            try (Connection c = connect(SETTINGS.getOrDefault(name, new Properties()))) {
                CHECKS.get(name).run(c, told);
            } catch (Throwable problem) {
                told.add(problem instanceof SQLException s ? said(s) : problem.toString());
            }
            System.out.println(name + "\t" + String.join(" | ", told));
        }
    }

    static Connection connect(Properties more) throws SQLException {
        Properties all = new Properties();
        all.putAll(more);
        all.setProperty("user", System.getenv("JDBC_USER"));
        all.setProperty("password", System.getenv("JDBC_PASSWORD"));
        return DriverManager.getConnection(System.getenv("JDBC_URL"), all);
    }

    static void check(String name, Check check, String... settings) {
        Properties wanted = new Properties();
        for (int i = 0; i < settings.length; i += 2) wanted.setProperty(settings[i], settings[i + 1]);
        CHECKS.put(name, check);
        SETTINGS.put(name, wanted);
    }

    static void tell(List<String> told, Step step) {
        try {
            told.add(String.valueOf(step.run()));
        } catch (SQLException problem) {
            told.add(said(problem));
        } catch (Exception problem) {
            told.add(problem.toString());
        }
    }

    static String said(SQLException problem) {
        if (problem instanceof BatchUpdateException batch) {
            return "batch " + Arrays.toString(batch.getUpdateCounts()) + " " + said(batch.getNextException());
        }
        if (problem instanceof PSQLException own && own.getServerErrorMessage() != null) {
            String hint = own.getServerErrorMessage().getHint();
            return own.getSQLState() + (hint == null ? "" : " hint: " + hint);
        }
        return problem.getSQLState() + " " + problem.getMessage();
    }

    static String one(Connection c, String text) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(text)) {
            return rows(r);
        }
    }

    static String rows(ResultSet r) throws SQLException {
        int wide = r.getMetaData().getColumnCount();
        StringJoiner all = new StringJoiner(";");
        while (r.next()) {
            StringJoiner row = new StringJoiner(",");
            for (int i = 1; i <= wide; i++) row.add(String.valueOf(r.getString(i)));
            all.add(row.toString());
        }
        return all.toString();
    }

    static int changed(Connection c, String text) throws SQLException {
        try (Statement s = c.createStatement()) {
            return s.executeUpdate(text);
        }
    }

    static void refusedAlone(Connection c, List<String> told) {
        tell(told, () -> changed(c, DELETE));
        tell(told, () -> one(c, "select count(*) from orders"));
    }

    static void refusedInside(Connection c, List<String> told) throws SQLException {
        c.setAutoCommit(false);
        tell(told, () -> changed(c, "update orders set status = 'lost' where id = 1"));
        tell(told, () -> changed(c, DELETE));
        tell(told, () -> one(c, "select status from orders where id = 1"));
        c.rollback();
        tell(told, () -> one(c, "select status from orders where id = 1"));
        c.rollback();
    }

    static void checks() {
        for (String mode : List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything")) {
            check("refused " + mode, Jdbc::refusedAlone, "preferQueryMode", mode);
        }
        for (String mode : List.of("never", "always", "conservative")) {
            check("transaction autosave " + mode, Jdbc::refusedInside, "autosave", mode);
        }
        check("transaction simple", Jdbc::refusedInside, "preferQueryMode", "simple");
        check("server-prepared", Jdbc::prepared, "prepareThreshold", "1");
        check("server-prepared refused", (c, told) -> {
            try (PreparedStatement s = c.prepareStatement("update orders set note = ?")) {
                for (int i = 0; i < 3; i++) {
                    s.setString(1, "x");
                    tell(told, s::executeUpdate);
                }
            }
            tell(told, () -> one(c, "select count(*) from orders"));
        }, "prepareThreshold", "1");
        for (String binary : List.of("false", "true")) {
            check("masked binary=" + binary, Jdbc::masked,
                "prepareThreshold", "-1", "binaryTransfer", binary);
        }
        for (String rewrites : List.of("false", "true")) {
            check("batch rewritten=" + rewrites, Jdbc::batch, "reWriteBatchedInserts", rewrites);
        }
        check("batch with a refused statement", (c, told) -> {
            try (Statement s = c.createStatement()) {
                c.setAutoCommit(false);
                s.addBatch("update orders set status = 'lost' where id = 2");
                s.addBatch(DELETE);
                s.addBatch("update orders set status = 'lost' where id = 3");
                tell(told, () -> Arrays.toString(s.executeBatch()));
                c.rollback();
            }
            tell(told, () -> one(c, "select status from orders where id in (2, 3) order by id"));
            c.rollback();
        });
        check("cursor", Jdbc::cursor);
        check("cursor, server-prepared", Jdbc::cursor, "prepareThreshold", "1");
        check("copy", Jdbc::copy);
        check("cancel", Jdbc::cancel);
        check("time-out", (c, told) -> {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                tell(told, () -> s.execute("select pg_sleep(60)"));
            }
            tell(told, () -> one(c, "select 1"));
        });
        check("savepoint", (c, told) -> {
            c.setAutoCommit(false);
            changed(c, "update orders set note = 'kept' where id = 1");
            Savepoint point = c.setSavepoint();
            tell(told, () -> changed(c, DELETE));
            c.rollback(point);
            tell(told, () -> one(c, "select note from orders where id = 1"));
            c.rollback();
        });
        check("generated keys", (c, told) -> {
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement(
                    "insert into orders values (91, 1, '2026-11-21', 1.00, 'new', null)",
                    Statement.RETURN_GENERATED_KEYS)) {
                told.add(String.valueOf(s.executeUpdate()));
                told.add(rows(s.getGeneratedKeys()));
            }
            c.rollback();
        });
        check("several statements in one text", (c, told) -> {
            try (Statement s = c.createStatement()) {
                tell(told, () -> s.execute("select 1; delete from orders; select 2"));
                tell(told, () -> s.execute("select 1; select 2"));
                told.add(rows(s.getResultSet()));
                s.getMoreResults();
                told.add(rows(s.getResultSet()));
            }
        });
        check("settings", (c, told) -> {
            c.setReadOnly(true);
            c.setAutoCommit(false);
            tell(told, () -> changed(c, "update orders set note = note where id = 1"));
            c.rollback();
            c.setReadOnly(false);
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            tell(told, () -> changed(c, "update orders set note = note where id = 1"));
            c.rollback();
            c.setAutoCommit(true);
            tell(told, c::getSchema);
            tell(told, () -> c.isValid(5));
            c.setClientInfo("ApplicationName", "tests");
            tell(told, () -> one(c, "select 1"));
        });
        check("listen", (c, told) -> {
            tell(told, () -> { changed(c, "listen hoop_tests"); return "listens"; });
            tell(told, () -> { changed(c, "notify hoop_tests, 'a card 4111111111111111'"); return "notified"; });
            tell(told, () -> {
                var heard = c.unwrap(PGConnection.class).getNotifications(2000);
                return heard == null ? "nothing" : heard.length + " " + heard[0].getName() + " " + heard[0].getParameter();
            });
            tell(told, () -> one(c, "select 1"));
        });
        check("large objects", (c, told) -> {
            c.setAutoCommit(false);
            tell(told, () -> c.unwrap(PGConnection.class).getLargeObjectAPI().createLO());
            c.rollback();
            tell(told, () -> one(c, "select 1"));
        });
        check("types", (c, told) -> {
            try (PreparedStatement s = c.prepareStatement(
                    "select ?::int, ?::bigint, ?::numeric, ?::timestamptz, ?::bytea, ?::uuid, ?::int[], ?::jsonb")) {
                for (int run = 0; run < 3; run++) {
                    s.setInt(1, 1);
                    s.setLong(2, 2L);
                    s.setBigDecimal(3, new java.math.BigDecimal("3.50"));
                    s.setObject(4, java.time.OffsetDateTime.parse("2026-11-21T00:00:00Z"));
                    s.setBytes(5, new byte[] {1, 2});
                    s.setObject(6, UUID.fromString("00000000-0000-0000-0000-000000000001"));
                    s.setArray(7, c.createArrayOf("int4", new Object[] {1, 2}));
                    s.setString(8, "{}");
                    try (ResultSet r = s.executeQuery()) {
                        r.next();
                        told.add(r.getInt(1) + " " + r.getLong(2) + " " + r.getBigDecimal(3) + " "
                            + r.getObject(4, java.time.OffsetDateTime.class).toInstant() + " "
                            + r.getBytes(5).length + " " + r.getObject(6) + " "
                            + Arrays.toString((Object[]) r.getArray(7).getArray()) + " " + r.getString(8));
                    }
                }
            }
        }, "prepareThreshold", "2");
        check("metadata", Jdbc::metadata);
        check("held simple", (c, told) -> held(c, told, 1001), "preferQueryMode", "simple");
        check("held extended", (c, told) -> held(c, told, 1003));
        check("held server-prepared", (c, told) -> held(c, told, 1005), "prepareThreshold", "1");
        check("held transaction", Jdbc::heldInside);
        check("held time-out", (c, told) -> {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                tell(told, () -> s.executeUpdate("delete from notes where id = 1009"));
            }
            tell(told, () -> one(c, "select count(*) from notes where id = 1009"));
        });
        check("many statements at once", (c, told) -> {
            ExecutorService pool = Executors.newFixedThreadPool(4);
            List<Future<String>> all = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                all.add(pool.submit(() -> {
                    try (Connection own = connect(new Properties())) {
                        StringJoiner said = new StringJoiner(",");
                        for (int n = 0; n < 5; n++) said.add(one(own, "select " + n));
                        return said.toString();
                    }
                }));
            }
            Set<String> seen = new TreeSet<>();
            for (Future<String> one : all) seen.add(one.get(60, TimeUnit.SECONDS));
            pool.shutdown();
            told.addAll(seen);
        });
    }

    static void prepared(Connection c, List<String> told) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("select name, ssn from customers where id = ?")) {
            for (int id = 1; id <= 4; id++) {
                s.setInt(1, id);
                told.add(rows(s.executeQuery()));
            }
            told.add(String.valueOf(s.unwrap(org.postgresql.PGStatement.class).isUseServerPrepare()));
        }
    }

    /** One that is approved and one that is denied, and what was said while they waited. */
    static void held(Connection c, List<String> told, int id) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("delete from notes where id = ?")) {
            for (int next = id; next < id + 2; next++) {
                s.setInt(1, next);
                tell(told, s::executeUpdate);
                SQLWarning said = s.getWarnings();
                told.add(said == null ? "nothing said" : said.getMessage().split(";")[0]);
                s.clearWarnings();
            }
        }
        tell(told, () -> one(c, "select count(*) from notes where id in (" + id + "," + (id + 1) + ")"));
    }

    static void heldInside(Connection c, List<String> told) throws SQLException {
        c.setAutoCommit(false);
        tell(told, () -> changed(c, "update drafts set id = id where id = 1"));
        tell(told, () -> changed(c, "delete from notes where id = 1007"));
        tell(told, () -> one(c, "select count(*) from notes where id = 1007"));
        tell(told, () -> changed(c, "delete from notes where id = 1008"));
        tell(told, () -> one(c, "select 1"));
        c.rollback();
        tell(told, () -> one(c, "select count(*) from notes where id in (1007, 1008)"));
        c.rollback();
    }

    static void masked(Connection c, List<String> told) throws SQLException {
        String text = "select id, ssn, ssn as other, email, upper(ssn) from customers order by id";
        try (PreparedStatement s = c.prepareStatement(text)) {
            for (int run = 0; run < 3; run++) told.add(rows(s.executeQuery()));
        }
    }

    static void batch(Connection c, List<String> told) throws SQLException {
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("insert into orders values (?, 1, '2026-11-21', 1.00, 'new', ?)")) {
            for (int id = 100; id < 400; id++) {
                s.setInt(1, id);
                s.setString(2, "note " + id);
                s.addBatch();
            }
            int[] counts = s.executeBatch();
            told.add(String.valueOf(counts.length));
        }
        tell(told, () -> one(c, "select count(*), max(note) from orders where id >= 100"));
        c.rollback();
        tell(told, () -> one(c, "select count(*) from orders"));
        c.rollback();
    }

    static void cursor(Connection c, List<String> told) throws SQLException {
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("select id, ssn from customers order by id")) {
            s.setFetchSize(2);
            told.add(rows(s.executeQuery()));
        }
        try (Statement s = c.createStatement()) {
            s.setFetchSize(100);
            long sum = 0;
            try (ResultSet r = s.executeQuery("select * from generate_series(1, 5000)")) {
                while (r.next()) sum += r.getLong(1);
            }
            told.add(String.valueOf(sum));
            try (ResultSet r = s.executeQuery("select * from generate_series(1, 5000)")) {
                r.next();
                told.add(String.valueOf(r.getInt(1)));
            }
        }
        tell(told, () -> one(c, "select 1"));
        c.rollback();
    }

    static void copy(Connection c, List<String> told) throws Exception {
        var api = c.unwrap(PGConnection.class).getCopyAPI();
        c.setAutoCommit(false);
        tell(told, () -> api.copyIn("copy orders from stdin with (format csv)",
            new StringReader("95,1,2026-11-21,1.00,new,\n96,1,2026-11-21,1.00,new,\n")));
        StringWriter out = new StringWriter();
        tell(told, () -> api.copyOut("copy (select id from orders where id > 90 order by id) to stdout", out));
        told.add(out.toString().replace('\n', ' ').trim());
        c.rollback();
        StringWriter masked = new StringWriter();
        api.copyOut("copy customers (id, ssn) to stdout (format csv)", masked);
        told.add(masked.toString().replace('\n', ' ').trim());
        c.rollback();
        tell(told, () -> api.copyIn("copy orders from stdin with (format csv)", new StringReader("not a number\n")));
        c.rollback();
        tell(told, () -> one(c, "select count(*) from orders"));
        c.rollback();
    }

    static void cancel(Connection c, List<String> told) throws Exception {
        try (Statement s = c.createStatement()) {
            // Again and again until it has met the statement: a cancel that comes early does nothing.
            var timer = Executors.newSingleThreadScheduledExecutor();
            timer.scheduleWithFixedDelay(() -> {
                try {
                    s.cancel();
                } catch (SQLException problem) {
                    timer.shutdown();
                }
            }, 200, 200, TimeUnit.MILLISECONDS);
            tell(told, () -> s.execute("select pg_sleep(60)"));
            timer.shutdown();
            timer.awaitTermination(10, TimeUnit.SECONDS);
        }
        tell(told, () -> one(c, "select 1"));
    }

    static void metadata(Connection c, List<String> told) throws SQLException {
        DatabaseMetaData m = c.getMetaData();
        String[] tables = {"TABLE", "VIEW"};
        tell(told, () -> count("schemas", m.getSchemas()));
        tell(told, () -> count("tables", m.getTables(null, "public", "%", tables)));
        tell(told, () -> count("columns", m.getColumns(null, "public", "customers", "%")));
        tell(told, () -> count("keys", m.getPrimaryKeys(null, "public", "customers")));
        tell(told, () -> count("imported", m.getImportedKeys(null, "public", "orders")));
        tell(told, () -> count("exported", m.getExportedKeys(null, "public", "customers")));
        tell(told, () -> count("indexes", m.getIndexInfo(null, "public", "customers", false, true)));
        tell(told, () -> count("types", m.getTypeInfo()));
        tell(told, () -> count("functions", m.getFunctions(null, "pg_catalog", "pg_get%")));
        tell(told, () -> count("procedures", m.getProcedures(null, "public", "%")));
        tell(told, () -> count("privileges", m.getTablePrivileges(null, "public", "customers")));
        tell(told, () -> count("column privileges", m.getColumnPrivileges(null, "public", "customers", "%")));
        tell(told, () -> count("catalogs", m.getCatalogs()));
        tell(told, () -> count("udts", m.getUDTs(null, "public", "%", null)));
        tell(told, () -> count("client info", m.getClientInfoProperties()));
        tell(told, () -> count("versions", m.getVersionColumns(null, "public", "customers")));
        tell(told, () -> count("row ids", m.getBestRowIdentifier(null, "public", "customers", 0, false)));
        tell(told, () -> count("function columns", m.getFunctionColumns(null, "pg_catalog", "pg_get_viewdef", "%")));
        tell(told, () -> "keywords " + (m.getSQLKeywords().length() > 0));
        tell(told, () -> "product " + m.getDatabaseProductName());
        tell(told, () -> "read only " + m.isReadOnly());
        tell(told, () -> "name length " + m.getMaxColumnNameLength());
    }

    static String count(String name, ResultSet r) throws SQLException {
        int count = 0;
        while (r.next()) count++;
        return name + " " + count;
    }
}
