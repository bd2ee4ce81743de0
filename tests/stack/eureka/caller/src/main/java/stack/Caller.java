package stack;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.ApplicationRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.web.client.RestClientBuilderConfigurer;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.loadbalancer.CompletionContext;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.client.loadbalancer.LoadBalancerLifecycle;
import org.springframework.cloud.client.loadbalancer.Request;
import org.springframework.cloud.client.loadbalancer.Response;
import org.springframework.context.annotation.Bean;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientResponseException;

/**
 * Calls one service as teams do, by its name through Spring Cloud LoadBalancer, a number of times a second, and writes
 * a line for each call: begun, ended (both milliseconds since 1970), the chosen instance ({@code -}: there was none),
 * and how it ended: the HTTP status, or the exception with its causes. A slow call does not hold up the next one.
 */
@SpringBootApplication
public class Caller {
    private static final ThreadLocal<String> CHOSEN = new ThreadLocal<>();

    public static void main(String[] args) {
        SpringApplication.run(Caller.class, args);
    }

    /** Spring Boot's own settings, timeouts included. */
    @Bean
    @LoadBalanced
    RestClient.Builder loadBalanced(RestClientBuilderConfigurer configurer) {
        return configurer.configure(RestClient.builder());
    }

    /** Only listens: it is told the choice before the call is sent, in the thread that sends it. */
    @Bean
    LoadBalancerLifecycle<Object, Object, ServiceInstance> telling() {
        return new LoadBalancerLifecycle<>() {
            @Override
            public void onStart(Request<Object> request) {}

            @Override
            public void onStartRequest(Request<Object> request, Response<ServiceInstance> chosen) {
                CHOSEN.set(chosen.getServer().getInstanceId());
            }

            @Override
            public void onComplete(CompletionContext<Object, ServiceInstance, Object> completion) {}
        };
    }

    @Bean
    ApplicationRunner calling(
            @LoadBalanced RestClient.Builder builder,
            @Value("${caller.service}") String service,
            @Value("${caller.log}") Path log,
            @Value("${caller.per-second}") int perSecond)
            throws Exception {
        RestClient client = builder.build();
        PrintWriter lines = new PrintWriter(
                Files.newBufferedWriter(log, StandardOpenOption.CREATE, StandardOpenOption.APPEND), true);
        ExecutorService calls = Executors.newCachedThreadPool();
        return arguments -> Executors.newSingleThreadScheduledExecutor()
                .scheduleAtFixedRate(
                        () -> calls.execute(() -> call(client, service, lines)),
                        0,
                        1_000_000 / perSecond,
                        TimeUnit.MICROSECONDS);
    }

    private static void call(RestClient client, String service, PrintWriter lines) {
        CHOSEN.set("-");
        long begun = System.currentTimeMillis();
        String how;
        try {
            how = String.valueOf(client.get()
                    .uri("http://" + service + "/")
                    .retrieve()
                    .toEntity(String.class)
                    .getStatusCode()
                    .value());
        } catch (RestClientResponseException answered) {
            how = String.valueOf(answered.getStatusCode().value());
        } catch (Exception failed) {
            how = chain(failed);
        }
        lines.println(begun + "\t" + System.currentTimeMillis() + "\t" + CHOSEN.get() + "\t" + how);
    }

    private static String chain(Throwable failed) {
        StringBuilder chain = new StringBuilder();
        for (Throwable one = failed; one != null; one = one.getCause()) {
            chain.append(chain.isEmpty() ? "" : " <- ").append(one.toString().replaceAll("\\s+", " "));
        }
        return chain.toString();
    }
}
