// Not run: written by the documentation of RabbitMQ.Client 7, compiled and tested by nobody here.
// Publish one command to the adapter and read its reply: dotnet run ACTION COMMAND.json
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

const string Replies = "example-system.replies"; // durable and ours: replies wait in it while this program is not running

static string Env(string name) => Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException(name);

var own = X509CertificateLoader.LoadPkcs12FromFile(Env("CLIENT_P12"), Env("CLIENT_P12_PASSWORD"));
var authority = X509CertificateLoader.LoadCertificateFromFile(Env("CA_CERT"));
var factory = new ConnectionFactory
{
    HostName = Env("MQ_HOST"),
    Port = int.Parse(Environment.GetEnvironmentVariable("MQ_PORT") ?? "5671"),
    AuthMechanisms = [new ExternalMechanismFactory()], // the user is the certificate's common name
    Ssl = new SslOption
    {
        Enabled = true,
        ServerName = Env("MQ_HOST"),
        Version = SslProtocols.Tls13,
        Certs = [own],
        CertificateValidationCallback = (_, server, chain, _) =>
        {
            chain!.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.Add(authority);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            var certificate = new X509Certificate2(server!);
            return chain.Build(certificate) && certificate.MatchesHostname(Env("MQ_HOST"));
        },
    },
};

await using var connection = await factory.CreateConnectionAsync("example-system");
// Confirms on, and publishing raises where a command is returned or refused.
await using var channel = await connection.CreateChannelAsync(
    new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
await channel.QueueDeclareAsync(
    Replies, durable: true, exclusive: false, autoDelete: false,
    arguments: new Dictionary<string, object?> { ["x-queue-type"] = "quorum" });

var messageId = Guid.NewGuid().ToString(); // in a real system: stored with the command before it is published
var answer = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
var consumer = new AsyncEventingBasicConsumer(channel);
consumer.ReceivedAsync += async (_, reply) =>
{
    var text = Encoding.UTF8.GetString(reply.Body.Span);
    await channel.BasicAckAsync(reply.DeliveryTag, multiple: false); // what is not acknowledged comes again
    if (reply.BasicProperties.CorrelationId == messageId) answer.TrySetResult(text);
};
await channel.BasicConsumeAsync(Replies, autoAck: false, consumer);

var properties = new BasicProperties
{
    ContentType = "application/json",
    DeliveryMode = DeliveryModes.Persistent,
    MessageId = messageId,
    CorrelationId = messageId,
    ReplyTo = Replies,
};
// The same message_id and bytes again are the same command: after a fault just repeat.
await channel.BasicPublishAsync("", args[0], mandatory: true, properties, await File.ReadAllBytesAsync(args[1]));
Console.WriteLine(await answer.Task.WaitAsync(TimeSpan.FromSeconds(60)));
