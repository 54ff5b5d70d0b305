import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A replicated key-value store with a fixed primary, the lowest ID. The primary answers a put once a majority has a copy. It is
 * correct while no replica dies.
 *
 * <p>One thread receives; an executor sends copies again and beats. All state is guarded by this object's monitor.
 */
public final class Replica {
    private static final String EVERYBODY = "FFFF";
    private static final int DATAGRAM_MAX = 65_535;
    private static final long RETRY_MS = 50;
    private static final int BEAT_MIN_MS = 80;
    private static final int BEAT_MAX_MS = 160;
    /** A message to a replica that is not up yet is lost, so the first beat waits until all should be. */
    private static final long START_GRACE_MS = 1000;

    /** A member of a flat object: a string without escapes, or a number. */
    private static final Pattern MEMBER = Pattern.compile("\"(\\w+)\"\\s*:\\s*(?:\"([^\"]*)\"|(-?\\d+))");

    private final String id;
    private final String primary;
    private final int majority;
    private final DatagramSocket socket;
    private final ScheduledExecutorService executor = Executors.newScheduledThreadPool(2);
    private final Random random = new Random();
    private final Map<String, String> store = new HashMap<>();
    private final Map<Integer, Pending> pending = new HashMap<>();
    private int lastNumber = 0;

    private static final class Pending {
        final Map<String, String> put;
        final Set<String> holders = new HashSet<>();
        ScheduledFuture<?> retry;

        Pending(Map<String, String> put) {
            this.put = put;
        }
    }

    private Replica(int port, String id, String[] others) throws SocketException {
        this.id = id;
        this.primary = Arrays.stream(others).reduce(id, (a, b) -> a.compareTo(b) <= 0 ? a : b);
        this.majority = (others.length + 1) / 2 + 1;
        this.socket = new DatagramSocket();
        this.socket.connect(InetAddress.getLoopbackAddress(), port);
    }

    public static void main(String[] arguments) throws IOException {
        String[] others = Arrays.copyOfRange(arguments, 2, arguments.length);
        new Replica(Integer.parseInt(arguments[0]), arguments[1], others).run();
    }

    private void run() throws IOException {
        send(EVERYBODY, "hello", "");
        if (id.equals(primary)) {
            executor.schedule(this::beat, START_GRACE_MS, TimeUnit.MILLISECONDS);
        }
        byte[] buffer = new byte[DATAGRAM_MAX];
        while (true) {
            DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
            socket.receive(packet);
            handle(parse(new String(buffer, 0, packet.getLength(), StandardCharsets.UTF_8)));
        }
    }

    private static Map<String, String> parse(String text) {
        Map<String, String> members = new HashMap<>();
        Matcher matcher = MEMBER.matcher(text);
        while (matcher.find()) {
            members.put(matcher.group(1), matcher.group(2) != null ? matcher.group(2) : matcher.group(3));
        }
        return members;
    }

    private void send(String destination, String type, String fields) {
        String text = String.format("{\"src\":\"%s\",\"dst\":\"%s\",\"leader\":\"%s\",\"type\":\"%s\"%s}",
                id, destination, primary, type, fields);
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        try {
            socket.send(new DatagramPacket(bytes, bytes.length));
        } catch (IOException lost) {
            // A datagram that the network refuses is lost like any other.
        }
    }

    private static String field(String name, String value) {
        return ",\"" + name + "\":\"" + value + "\"";
    }

    private void beat() {
        send(EVERYBODY, "beat", "");
        int wait = BEAT_MIN_MS + random.nextInt(BEAT_MAX_MS - BEAT_MIN_MS);
        executor.schedule(this::beat, wait, TimeUnit.MILLISECONDS);
    }

    private synchronized void handle(Map<String, String> message) {
        String source = message.get("src");
        String answered = field("MID", String.valueOf(message.get("MID")));
        switch (message.getOrDefault("type", "")) {
            case "get", "put" -> {
                if (!id.equals(primary)) {
                    send(source, "redirect", answered);
                } else if (message.get("type").equals("put")) {
                    handlePut(message);
                } else {
                    send(source, "ok", answered + field("value", store.getOrDefault(message.get("key"), "")));
                }
            }
            case "copy" -> {
                store.put(message.get("key"), message.get("value"));
                send(source, "copied", ",\"number\":" + message.get("number"));
            }
            case "copied" -> handleCopied(Integer.parseInt(message.get("number")), source);
            default -> { }
        }
    }

    private void handlePut(Map<String, String> put) {
        int number = ++lastNumber;
        Pending waiting = new Pending(put);
        waiting.holders.add(id);
        waiting.retry = executor.scheduleAtFixedRate(() -> copy(number, put), RETRY_MS, RETRY_MS, TimeUnit.MILLISECONDS);
        pending.put(number, waiting);
        copy(number, put);
    }

    private void copy(int number, Map<String, String> put) {
        send(EVERYBODY, "copy", ",\"number\":" + number + field("key", put.get("key")) + field("value", put.get("value")));
    }

    private void handleCopied(int number, String holder) {
        Pending waiting = pending.get(number);
        if (waiting == null || !waiting.holders.add(holder) || waiting.holders.size() < majority) {
            return;
        }
        waiting.retry.cancel(false);
        pending.remove(number);
        store.put(waiting.put.get("key"), waiting.put.get("value"));
        send(waiting.put.get("src"), "ok", field("MID", waiting.put.get("MID")));
    }
}
