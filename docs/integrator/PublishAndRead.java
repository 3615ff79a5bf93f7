import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultSaslConfig;
import com.rabbitmq.client.GetResponse;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * Publish one command to the adapter and read its reply: java PublishAndRead ACTION COMMAND.json.
 *
 * <p>Reads MQ_HOST, MQ_PORT, CA_CERT (PEM), CLIENT_P12 and CLIENT_P12_PASSWORD from the environment. Needs amqp-client 5.
 * Prints the reply; exit code 0 for a result, 1 for an error, 3 when no reply came in time.
 */
public final class PublishAndRead {
    /** Durable and ours: replies wait in it while this program is not running. */
    private static final String REPLIES = "example-system.replies";

    private static final Duration WAIT = Duration.ofSeconds(60);

    public static void main(String[] arguments) throws Exception {
        String action = arguments[0];
        byte[] body = Files.readAllBytes(Path.of(arguments[1]));
        String messageId = UUID.randomUUID().toString(); // in a real system: stored with the command before it is published
        try (Connection connection = factory().newConnection("example-system");
                Channel channel = connection.createChannel()) {
            channel.queueDeclare(REPLIES, true, false, false, Map.of("x-queue-type", "quorum"));
            publish(channel, action, body, messageId);
            String reply = read(channel, messageId);
            if (reply == null) {
                System.err.println("no reply yet; it stays in the queue and comes with the next run");
                System.exit(3);
            }
            new PrintStream(System.out, true, StandardCharsets.UTF_8).println(reply); // whatever the locale is
            System.exit(reply.startsWith("{\"result\"") ? 0 : 1); // your JSON library knows better
        }
    }

    /** Logs in by certificate (SASL EXTERNAL): the user is the certificate's common name. */
    private static ConnectionFactory factory() throws Exception {
        char[] password = System.getenv("CLIENT_P12_PASSWORD").toCharArray();
        KeyStore own = KeyStore.getInstance("PKCS12");
        try (InputStream file = Files.newInputStream(Path.of(System.getenv("CLIENT_P12")))) {
            own.load(file, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, password);
        KeyStore authorities = KeyStore.getInstance(KeyStore.getDefaultType());
        authorities.load(null, null);
        try (InputStream file = Files.newInputStream(Path.of(System.getenv("CA_CERT")))) {
            authorities.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(authorities);
        SSLContext tls = SSLContext.getInstance("TLSv1.3");
        tls.init(keys.getKeyManagers(), trust.getTrustManagers(), null);

        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(System.getenv("MQ_HOST"));
        factory.setPort(Integer.parseInt(System.getenv().getOrDefault("MQ_PORT", "5671")));
        factory.useSslProtocol(tls);
        factory.setSocketConfigurator(socket -> { // the server has to be who its certificate names
            SSLParameters parameters = ((SSLSocket) socket).getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            ((SSLSocket) socket).setSSLParameters(parameters);
        });
        factory.setSaslConfig(DefaultSaslConfig.EXTERNAL);
        return factory;
    }

    /** Returns when RabbitMQ has the command. The same message_id and bytes again are the same command: just repeat. */
    private static void publish(Channel channel, String action, byte[] body, String messageId) throws Exception {
        AtomicBoolean returned = new AtomicBoolean();
        channel.addReturnListener(message -> returned.set(true));
        channel.confirmSelect();
        AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
                .contentType("application/json")
                .deliveryMode(2)
                .messageId(messageId)
                .correlationId(messageId)
                .replyTo(REPLIES)
                .build();
        channel.basicPublish("", action, true, properties, body);
        channel.waitForConfirmsOrDie(10_000);
        if (returned.get()) {
            throw new IllegalStateException("no queue of this action: is the adapter running, is the name right?");
        }
    }

    /** Returns the reply to one command, null when none came. A reply may come twice with the same message_id. */
    private static String read(Channel channel, String messageId) throws Exception {
        Instant end = Instant.now().plus(WAIT);
        while (Instant.now().isBefore(end)) {
            GetResponse reply = channel.basicGet(REPLIES, false); // a real system consumes; asking is simpler to show
            if (reply == null) {
                Thread.sleep(100);
                continue;
            }
            boolean ours = messageId.equals(reply.getProps().getCorrelationId());
            String text = new String(reply.getBody(), StandardCharsets.UTF_8);
            channel.basicAck(reply.getEnvelope().getDeliveryTag(), false); // what is not acknowledged comes again
            if (ours) {
                return text;
            }
        }
        return null;
    }

    private PublishAndRead() {}
}
