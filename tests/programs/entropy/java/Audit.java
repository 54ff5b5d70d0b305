import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/** Prints all in which a run of a Java program could differ from another, as lines of a name and a value. */
public final class Audit {
    private Audit() { }

    public static void main(String[] arguments) throws Exception {
        showTime();
        showRandom();
        showIdentity();
        showAddresses();
        showFiles();
        showMachine();
    }

    private static void show(String name, Object value) {
        System.out.println(name + " " + String.valueOf(value).replace("\n", "\\n"));
    }

    private static String firstLine(String path) throws IOException {
        try (var reader = Files.newBufferedReader(Path.of(path))) {
            return reader.readLine();
        }
    }

    private static void showTime() throws InterruptedException {
        show("current_time_millis", System.currentTimeMillis());
        show("nano_time", System.nanoTime());
        show("instant", java.time.Instant.now());
        show("local_time", java.time.ZonedDateTime.now());
        long before = System.nanoTime();
        Thread.sleep(10);
        show("sleep_10_ms_took_ns", System.nanoTime() - before);
        show("thread_cpu_ns", ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime());
        show("jvm_start", ManagementFactory.getRuntimeMXBean().getStartTime());
        show("jvm_uptime", ManagementFactory.getRuntimeMXBean().getUptime());
    }

    private static void showRandom() throws IOException {
        show("random", new Random().nextLong());
        show("math_random", Math.random());
        show("thread_local_random", ThreadLocalRandom.current().nextLong());
        byte[] bytes = new byte[16];
        new SecureRandom().nextBytes(bytes);
        show("secure_random", HexFormat.of().formatHex(bytes));
        show("uuid", UUID.randomUUID());
        for (String device : new String[] {"/dev/urandom", "/dev/random"}) {
            try (InputStream file = Files.newInputStream(Path.of(device))) {
                show(device, HexFormat.of().formatHex(file.readNBytes(16)));
            }
        }
        // The hash of a string is fixed; the order of an immutable set depends on a salt of the run.
        show("string_hash", "a".hashCode());
        Map<Object, Integer> byIdentity = new HashMap<>();
        for (int number = 0; number < 8; number++) {
            byIdentity.put(new Object(), number);
        }
        show("identity_order", byIdentity.values());
        show("parallel_order", parallelOrder());
        show("set_order", Set.of("a", "b", "c", "d", "e", "f", "g", "h"));
        show("kernel_uuid", firstLine("/proc/sys/kernel/random/uuid"));
        show("boot_id", firstLine("/proc/sys/kernel/random/boot_id"));
    }

    /** In which order threads get a lock. */
    private static List<Integer> parallelOrder() {
        List<Integer> order = Collections.synchronizedList(new ArrayList<>());
        List<Thread> threads = new ArrayList<>();
        for (int number = 0; number < 8; number++) {
            int own = number;
            threads.add(new Thread(() -> {
                Thread.yield();
                order.add(own);
            }));
        }
        threads.forEach(Thread::start);
        try {
            for (Thread thread : threads) {
                thread.join();
            }
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
        return order;
    }

    private static void showIdentity() throws IOException {
        show("pid", ProcessHandle.current().pid());
        show("ppid", ProcessHandle.current().parent().map(ProcessHandle::pid).orElse(-1L));
        show("thread_id", Thread.currentThread().getId());
        show("hostname", firstLine("/proc/sys/kernel/hostname"));
        show("user", System.getProperty("user.name"));
        show("cwd", System.getProperty("user.dir"));
        new TreeMap<>(System.getProperties()).forEach((name, value) -> show("property_" + name, value));
        show("local_host", InetAddress.getLocalHost());
        show("jvm_name", ManagementFactory.getRuntimeMXBean().getName());
        new TreeMap<>(System.getenv()).forEach((name, value) -> show("env_" + name, value));
    }

    private static void showAddresses() throws IOException {
        show("identity_hash", System.identityHashCode(new Object()));
        show("object", new Object());
        for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
            String[] words = line.split("\\s+");
            if (words.length == 6 && Set.of("[heap]", "[stack]", "[vdso]").contains(words[5])) {
                show("map" + words[5], words[0]);
            }
        }
    }

    private static void showStat(String prefix, Path path) throws IOException {
        for (String field : new String[] {"ino", "dev", "size", "lastModifiedTime", "ctime", "lastAccessTime"}) {
            show(prefix + "_" + field, Files.getAttribute(path, "unix:" + field));
        }
    }

    private static void showFiles() throws IOException {
        showStat("own_file", Path.of(System.getProperty("java.class.path"), "Audit.class"));
        // In virtual time the name is the same in each run, so runs at the same time need folders of their own.
        String temporary = System.getenv().getOrDefault("TMPDIR", System.getProperty("java.io.tmpdir"));
        Path folder = Files.createTempDirectory(Path.of(temporary), "audit-");
        show("temporary_folder", folder);
        for (String name : "fdbhaecg".split("")) {
            Files.writeString(folder.resolve(name), name);
        }
        StringJoiner order = new StringJoiner(",");
        try (DirectoryStream<Path> listing = Files.newDirectoryStream(folder)) {
            listing.forEach(path -> order.add(path.getFileName().toString()));
        }
        show("listing_order", order);
        showStat("created_file", folder.resolve("a"));
        for (String name : "fdbhaecg".split("")) {
            Files.delete(folder.resolve(name));
        }
        Files.delete(folder);
        show("disk_free", Path.of("/").toFile().getFreeSpace());
    }

    private static void showMachine() throws IOException {
        show("cpu_count", Runtime.getRuntime().availableProcessors());
        show("free_memory", Runtime.getRuntime().freeMemory());
        show("max_memory", Runtime.getRuntime().maxMemory());
        show("load", ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage());
        show("threads", Thread.activeCount());
        for (String path : new String[] {"/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/self/stat"}) {
            show(path, firstLine(path));
        }
        show("localhost", InetAddress.getByName("localhost"));
        try (DatagramSocket probe = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            show("free_port", probe.getLocalPort());
        }
    }
}
